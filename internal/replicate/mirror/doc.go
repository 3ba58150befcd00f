// Package mirror decides what happens to one partition: events in, actions out. It is pure: no clock, no
// socket, no goroutine, no Kafka client. The driver (package replicate) turns answers from the wire into
// events and actions into requests.
//
// The rule that everything else serves: the next source offset to copy is the target's log end. No file
// remembers a position. After anything whose outcome is not known, the machine drops what it has in hand and
// asks for both ends of the log again (Open), compares the tail (Compare), and goes on from the target's end.
//
//	         Opened              Compared
//	Opening ────────▶ Comparing ─────────▶ Copying ──┐ Fetched, Appended, Filled, ...
//	   ▲     │                                ▲  ▲───┘
//	   │     └─────────▶ Seeding ─────────────┘
//	   └── any unknown outcome ── Copying, Seeding
//	Faulted: from anywhere, for good.
//
// Within Copying, what was fetched is taken apart into items: data that goes out as it is, data that must be
// written anew, and gaps. Data is pipelined, because the producer id's sequence makes each append conditional
// on the one before. A gap filled by markers has no such condition, so it is a barrier: it goes out only when
// every append before it was acknowledged at its offset, and nothing follows until it is answered.
package mirror
