package batch

import (
	"testing"
)

func TestPassable(t *testing.T) {
	good := Header{BaseOffset: 10, Length: 1000, Magic: 2, Attributes: int16(Zstd) | attrTransactional | attrDeleteHorizon, LastOffsetDelta: 4, Count: 5}
	for _, c := range []struct {
		name string
		edit func(*Header)
		want Reason
	}{
		{"as it should be", func(*Header) {}, ReasonNone},
		{"exactly at the limit", func(h *Header) { h.Length = 1012 - 12 }, ReasonNone},
		{"one byte over the limit", func(h *Header) { h.Length = 1012 - 12 + 1 }, ReasonTooLarge},
		{"a gap before", func(h *Header) { h.BaseOffset = 11 }, ReasonAhead},
		{"a marker behind a gap", func(h *Header) { h.BaseOffset = 11; h.Attributes = attrControl }, ReasonAhead},
		{"marker", func(h *Header) { h.Attributes = attrControl | attrTransactional }, ReasonControl},
		{"emptied", func(h *Header) { h.Count = 0 }, ReasonEmpty},
		{"codec 5", func(h *Header) { h.Attributes = 5 }, ReasonUnsupported},
		{"codec 7", func(h *Header) { h.Attributes = 7 }, ReasonUnsupported},
		{"attribute bit 7", func(h *Header) { h.Attributes = 1 << 7 }, ReasonUnsupported},
		{"attribute bit 15", func(h *Header) { h.Attributes = -1 << 15 }, ReasonUnsupported},
		{"magic 1", func(h *Header) { h.Magic = 1 }, ReasonOldFormat},
		{"magic 0", func(h *Header) { h.Magic = 0 }, ReasonOldFormat},
		{"overlap", func(h *Header) { h.BaseOffset = 9 }, ReasonBehind},
		{"wholly behind", func(h *Header) { h.BaseOffset = 2 }, ReasonBehind},
		{"hole", func(h *Header) { h.Count = 4 }, ReasonHoles},
		{"LogAppendTime", func(h *Header) { h.Attributes |= attrLogAppendTime }, ReasonLogAppendTime},
	} {
		h := good
		c.edit(&h)
		if got := Passable(&h, 10, 1012); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	good.Length = 1 << 30
	if got := Passable(&good, 10, 0); got != ReasonNone {
		t.Errorf("without a limit: %s", got)
	}
}

func TestReasonsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for r := ReasonNone; r <= ReasonTooLarge; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d is called %q", r, s)
		}
		seen[r.String()] = true
	}
	if ReasonNone.Recodable() || ReasonControl.Recodable() || ReasonUnsupported.Recodable() || !ReasonHoles.Recodable() || !ReasonTooLarge.Recodable() {
		t.Error("wrong reasons to recode")
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range codecs {
		if got, err := ParseCodec(c.String()); got != c || err != nil {
			t.Errorf("%s: %v %v", c, got, err)
		}
	}
	if c, err := ParseCodec("uncompressed"); c != None || err != nil {
		t.Error(c, err)
	}
	for _, bad := range []string{"", "producer", "GZIP", "codec(5)"} {
		if _, err := ParseCodec(bad); err == nil {
			t.Errorf("%q was read as a codec", bad)
		}
	}
	if Codec(5).Known() || Codec(-1).Known() || Codec(6).String() != "codec(6)" {
		t.Error("unknown codecs")
	}
}
