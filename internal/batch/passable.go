package batch

// Reason says why a batch may not be sent raw. The zero value is that it may.
type Reason uint8

// The reasons, in the order in which they are looked for.
const (
	// ReasonNone: the batch may pass raw.
	ReasonNone Reason = iota
	// ReasonAhead: the batch begins behind the target's log end; fill the gap first.
	ReasonAhead
	// ReasonControl: a marker, never sent by a client; fill its offsets from the
	// log end on.
	ReasonControl
	// ReasonEmpty: the cleaner left no record; fill its offsets from the log end on.
	ReasonEmpty
	// ReasonUnsupported: unknown codec or attribute bit; stop, nobody knows what it says.
	ReasonUnsupported
	// ReasonOldFormat: magic 0 or 1; recode (4.0 brokers take only magic 2, KIP-896).
	ReasonOldFormat
	// ReasonBehind: the batch begins before the target's log end; recode from there.
	ReasonBehind
	// ReasonHoles: offsets without a record; recode and fill.
	ReasonHoles
	// ReasonLogAppendTime: brokers refuse it (to 3.5) or re-time it (3.6+); recode.
	ReasonLogAppendTime
	// ReasonTooLarge: larger than the target takes; recode in parts.
	ReasonTooLarge
)

var reasonNames = [...]string{
	ReasonNone:          "passable",
	ReasonAhead:         "starts behind the target's log end",
	ReasonControl:       "control batch",
	ReasonEmpty:         "no records",
	ReasonUnsupported:   "unknown codec or attribute",
	ReasonOldFormat:     "message format before magic 2",
	ReasonBehind:        "starts before the target's log end",
	ReasonHoles:         "offsets without a record",
	ReasonLogAppendTime: "LogAppendTime",
	ReasonTooLarge:      "larger than the target allows",
}

// String returns the reason in words for people.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown reason"
}

// Recodable reports whether Decoder.Recode is the answer to r.
func (r Reason) Recodable() bool { return r >= ReasonOldFormat && r <= ReasonTooLarge }

// Passable says whether a batch may be sent raw (through Rewrite) to a partition
// whose log end is at, and if not, why. maxBytes is the largest batch that the
// target takes, as it is sent (max.message.bytes); 0 means any.
func Passable(h *Header, at int64, maxBytes int) Reason {
	switch {
	case h.BaseOffset > at:
		return ReasonAhead
	case h.Control():
		return ReasonControl
	case h.Count <= 0:
		return ReasonEmpty
	case !h.Codec().Known() || h.Attributes&^attrKnown != 0:
		return ReasonUnsupported
	case h.Magic != 2:
		return ReasonOldFormat
	case h.BaseOffset < at:
		return ReasonBehind
	case !h.Contiguous():
		return ReasonHoles
	case h.LogAppendTime():
		return ReasonLogAppendTime
	case maxBytes > 0 && h.Size() > maxBytes:
		return ReasonTooLarge
	}
	return ReasonNone
}
