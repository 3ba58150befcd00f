// Package replicate drives the copy of one flow: it joins the pure machines of package mirror, one for each
// partition, to the wire.
//
//	fetcher (one per source broker) ──Fetched──▶ partition ──Append──▶ appender (one per target broker)
//	                                              │  ▲  │
//	                    chores (open, compare, ◀──┘  │  └──Mark──▶ marker (one per target broker)
//	                    delete, probe, abort) ───────┘
//
// A partition is a machine with a mutex. Whoever brings an event steps it and hands its actions on; no
// goroutine belongs to a partition. Placement follows leaders, new topics and new partitions; the reporter
// tells what is going on. No goroutine outlives Run.
//
// The package decides nothing about offsets: what is appended where, and when to stop, is mirror's.
package replicate
