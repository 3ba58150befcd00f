package e2e

import (
	"testing"

	"github.com/kferry/kferry/internal/history"
	"github.com/kferry/kferry/internal/testbed"
)

// Random histories between the pairs of releases that TestHardHistories leaves out.
func TestOtherPairs(t *testing.T) {
	for i, pair := range []struct {
		name           string
		source, target testbed.Version
	}{
		{"2.8 to 3.9", testbed.V28, testbed.V39},
		{"3.9 to 2.8", testbed.V39, testbed.V28},
		{"4.3 to 2.8", testbed.V43, testbed.V28},
		{"4.3 to 3.9", testbed.V43, testbed.V39},
	} {
		t.Run(pair.name, func(t *testing.T) {
			f := newFlow(t, cluster(t, pair.source), cluster(t, pair.target))
			f.from = seeded(t, f.source, uint64(100+i))
			plain, keyed, old := history.Random(2, 120, false), history.Random(2, 120, true), history.Hard()[0]
			topics := f.write(plain, keyed, old)
			f.mustCatchUp()
			t.Log(f.equal(history.Rules{}, topics...))
		})
	}
}
