package state

import (
	"testing"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

func TestStoreOnRealBrokers(t *testing.T) {
	t.Parallel()
	for _, v := range []testbed.Version{testbed.V28, testbed.V43} {
		t.Run(string(v), func(t *testing.T) {
			c, err := kafka.Open(t.Context(), kafka.Connection{Alias: "b", Bootstrap: testbed.Shared(t, v).Addrs()})
			must(t, err)
			t.Cleanup(c.Close)
			roundTrip(t, c)
		})
	}
}
