// Package repair brings a topic whose copy was stopped by a fault back into the copy: by dropping its target topic,
// so that it is copied anew at equal offsets, or by going on behind what the target holds, with shifted offsets.
//
// It looks first and says, partition by partition and group by group, what will be lost and what will be copied
// again; nothing is changed before Do. It finds out by content how far both sides agree. A kferry that replicates
// the flow meanwhile is told by the ledger to leave the topic alone, and takes it up again afterwards. The package
// copies nothing itself.
package repair
