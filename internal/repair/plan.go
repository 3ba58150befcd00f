package repair

import (
	"fmt"

	"github.com/kferry/kferry/internal/estate"
	"github.com/kferry/kferry/internal/fault"
	"github.com/kferry/kferry/internal/report"
	"github.com/kferry/kferry/internal/shift"
)

// Action is how a topic is repaired.
type Action string

// The actions.
const (
	Rebuild  Action = "rebuild" // drop the target topic and copy it anew
	Reattach Action = "shifted" // go on behind what the target holds
)

// Plan is what a repair of one topic will do.
type Plan struct {
	Flow       string      `json:"flow"`
	Topic      string      `json:"topic"`
	Action     Action      `json:"action"`
	Mode       string      `json:"mode"`    // in which it was begun, and is again after a rebuild
	Running    bool        `json:"running"` // a kferry replicates the flow now
	Partitions []Partition `json:"partitions"`
	Groups     []Group     `json:"groups"` // with positions in the topic on the target
	Notes      []string    `json:"notes"`
	// Refusals are why it cannot be done. None: it can.
	Refusals []string `json:"refusals"`

	source, target estate.Topic
}

// Partition is what becomes of one partition. Offsets are -1 where they mean nothing.
type Partition struct {
	ID          int32      `json:"partition"`
	Fault       fault.Kind `json:"fault,omitempty"` // empty: none known
	SourceStart int64      `json:"sourceLogStart"`
	SourceEnd   int64      `json:"sourceLogEnd"`
	TargetStart int64      `json:"targetLogStart"` // at the target's own offsets
	TargetEnd   int64      `json:"targetLogEnd"`
	// Agreed is the source offset before which the target holds what the source holds.
	Agreed int64 `json:"agreed"`
	// Foreign are target offsets that hold nothing of the source: a rebuild deletes them, and they may exist nowhere
	// else; going on shifted leaves them where they are.
	Foreign int64 `json:"foreign"`
	// OnlyOnTarget are target offsets whose source offsets the source has deleted since.
	OnlyOnTarget int64 `json:"onlyOnTarget"`
	// Gone are source offsets that are on neither side any more.
	Gone int64 `json:"gone"`
	// Copy are the offsets to copy, Bytes about how many bytes that is, -1 unknown.
	Copy  int64 `json:"copy"`
	Bytes int64 `json:"bytes"`
	// From and Shift are where the copy goes on when it is attached anew, and how offsets are shifted from there.
	Attach bool      `json:"attach"`
	From   int64     `json:"from"`
	Shift  int64     `json:"shift"`
	Map    shift.Map `json:"segments,omitempty"` // as it will be
}

// Group is what becomes of one group's positions in the topic.
type Group struct {
	ID       string `json:"group"`
	State    string `json:"state"`
	OnSource bool   `json:"onSource"` // the source has positions of it, from which the sync restores them
	What     string `json:"what"`
}

// refuse adds a reason.
func (p *Plan) refuse(format string, args ...any) {
	p.Refusals = append(p.Refusals, fmt.Sprintf(format, args...))
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// attachable says whether going on behind what the target holds is an answer to a fault, and why not.
func attachable(f *fault.Fault) (ok bool, why string) {
	switch f.Kind {
	case fault.ForeignAppend, fault.Truncation, fault.TopicRecreated, fault.RetentionOvertook, fault.NotAPrefix, fault.SeedLimit, fault.ShiftUnknown:
		return true, ""
	case fault.TopicGone:
		return false, "there is nothing to go on with"
	}
	return false, fmt.Sprintf("it would stop at the same place again, with %s; first: %s; then start kferry replicate again", f.Kind, f.Next)
}

// faultOf is the fault of one partition, or of the topic.
func faultOf(t report.Topic, id int32) *fault.Fault {
	if t.Fault != nil {
		return t.Fault
	}
	for i := range t.Partitions {
		if t.Partitions[i].ID == id {
			return t.Partitions[i].Fault
		}
	}
	return nil
}
