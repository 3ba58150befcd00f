// Package state keeps, in one compacted topic on the target, what a flow should remember: which topics it
// copied into which, what it saw of the source's history, which topics were finalized, and the report of the
// running kferry.
//
// It is a convenience, not the truth. The target's logs say what was copied; a lost state topic costs the
// knowledge of what happened before (a topic recreated while kferry was down, a finalized topic), never a
// record or an offset. How shifted offsets follow from the source's is kept here and, a second time, by package
// ledger. Reading is one pass over a small topic. Garbage is skipped and counted; what a newer
// kferry wrote is refused.
//
// Keys and values are JSON of small size; a key begins with its kind:
//
//	flow/<flow>                        Flow
//	memory/<flow>/<topic>              Memory, written again and again by the running replication
//	finalized/<flow>/<topic>           that the topic was finalized, written once by whoever did it
//	report/<flow>                      report.Document, without topics and groups if these would not fit
//	report/<flow>/topic/<topic>/<n>    report.Topic, a part of its partitions
//	report/<flow>/group/<group>/<n>    report.Group, a part of its offsets
//
// Names are escaped as in a URL path, so that a slash always separates.
package state
