package mirror

import (
	"fmt"

	"github.com/kferry/kferry/internal/fault"
)

// ActionKind says what the driver is to do.
type ActionKind int

// The actions. Each is answered by the event named, unless the machine is reset or faulted meanwhile.
const (
	// Open: read both ends of the partition (log ends, our last sequence, the target's last batch) and answer
	// with Opened, once everything that was sent has been answered or its connection is gone. With Settle, an
	// append may still be on its way: if the broker does not remember our producer id, wait until no late
	// request can arrive any more. With Unguarded, markers may be: wait whatever the broker remembers.
	Open ActionKind = iota + 1
	// Compare: compare source and target records in [Base, Base+Count) and answer with Compared.
	Compare
	// Append: produce Bytes, one batch of Count offsets, expecting base offset Base; answer with Appended,
	// Unknown or Refused. For Seed the driver makes the bytes: a filler batch of Count records.
	Append
	// Mark: write Count control markers at Base; answer with Filled, Unknown or Refused.
	Mark
	// Abort: fill up to Count offsets from Base by filler records in an aborted transaction of kferry's own;
	// answer with Filled (possibly short of Count), Unknown or Refused.
	Abort
	// Delete: move the target's log start to Base; answer with Deleted.
	Delete
	// Probe: fetch from Base this partition alone, so that no other can use up the answer's size, and
	// answer with Probed.
	Probe
	// Stop: the partition is faulted; Fault says why. Nothing follows.
	Stop
)

var actionNames = map[ActionKind]string{
	Open: "open", Compare: "compare", Append: "append", Mark: "mark", Abort: "abort", Delete: "delete", Probe: "probe", Stop: "stop",
}

// String is the action's name as used in scripts and logs.
func (k ActionKind) String() string { return actionNames[k] }

// AppendKind says what an Append carries.
type AppendKind int

// The kinds of appended bytes.
const (
	Raw     AppendKind = iota + 1 // a source batch whose records are untouched
	Recoded                       // the same records in a batch written anew
	Seed                          // filler below the source's log start
	Echo                          // copies of the next surviving record
)

var appendNames = map[AppendKind]string{Raw: "raw", Recoded: "recoded", Seed: "seed", Echo: "echo"}

// String is the kind's name as used in scripts and logs.
func (k AppendKind) String() string { return appendNames[k] }

// Owner is the memory that Bytes lie in. Who is handed an Owner holds a reference and releases it.
type Owner interface {
	Retain()
	Release()
}

// Action is one thing for the driver to do.
type Action struct {
	Kind       ActionKind
	Generation int // of the machine when it asked; answers of older generations are ignored
	Base       int64
	Count      int64
	Append     AppendKind
	Sequence   int32  // of the first record, for Append
	Bytes      []byte // for Append, except Seed; ready to send
	Owner      Owner  // of Bytes, may be nil; the driver releases it once the bytes are written or dropped
	Settle     bool   // for Open
	Unguarded  bool   // for Open, with Settle: the outcome of a filler without a sequence is not known
	Fault      *fault.Fault
}

// String is one line of a script.
func (a Action) String() string {
	switch a.Kind {
	case Open:
		switch {
		case a.Unguarded:
			return "open settle unguarded"
		case a.Settle:
			return "open settle"
		}
		return "open"
	case Append:
		return fmt.Sprintf("append %s base=%d count=%d seq=%d", a.Append, a.Base, a.Count, a.Sequence)
	case Delete, Probe:
		return fmt.Sprintf("%s base=%d", a.Kind, a.Base)
	case Stop:
		return fmt.Sprintf("stop %s offset=%d count=%d", a.Fault.Kind, a.Fault.Offset, a.Fault.Count)
	default:
		return fmt.Sprintf("%s base=%d count=%d", a.Kind, a.Base, a.Count)
	}
}
