package console

import "io"

// ConfigChange is one setting of a topic that was, or would be, changed. It is a row of a table and, as JSON, an
// element of `kferry finalize -o json`.
type ConfigChange struct {
	Flow  string `json:"flow"`
	Topic string `json:"topic"`
	Key   string `json:"key"`
	From  string `json:"from"` // in effect before
	To    string `json:"to"`   // in effect afterwards
	// Removed says that the topic's own value goes and the target's default takes its place.
	Removed bool `json:"removed"`
}

// WriteChanges prints the changes of one flow as a table; width 0 is unlimited.
func WriteChanges(w io.Writer, changes []ConfigChange, width int) error {
	t := &table{columns: []column{{title: "TOPIC", min: 12}, {title: "SETTING", min: 12}, {title: "FROM", min: 5, prose: true}, {title: "TO", min: 5, prose: true}}}
	for _, c := range changes {
		to := orDash(c.To)
		if c.Removed {
			to += " (default)"
		}
		t.add(c.Topic, c.Key, orDash(c.From), to)
	}
	return t.write(w, width)
}
