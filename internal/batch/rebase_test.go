package batch

import (
	"errors"
	"testing"
)

func TestRebase(t *testing.T) {
	raw := append(append([]byte(nil), Filler(3)...), Filler(5)...)
	if err := Rebase(raw, 1000); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{1000, 1000} {
		b, rest, err := Next(raw)
		if err != nil || b.BaseOffset != want || b.CheckCRC() != nil {
			t.Fatalf("offset %d, want %d; %v, %v", b.BaseOffset, want, err, b.CheckCRC())
		}
		raw = rest
	}
	part := Filler(3)
	if err := Rebase(part[:len(part)-1], 7); err != nil {
		t.Fatal(err)
	}
	if b, _, err := Next(part); err != nil || b.BaseOffset != 0 {
		t.Errorf("a batch that was there in part is at offset %d now, %v", b.BaseOffset, err)
	}
	old := Filler(3)
	old[atMagic] = 1
	if err := Rebase(old, 7); !errors.Is(err, ErrUnsupported) {
		t.Errorf("magic 1: %v", err)
	}
	if err := Rebase(old, 0); err != nil {
		t.Errorf("no distance: %v", err)
	}
}
