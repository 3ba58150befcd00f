package batch

import "fmt"

// Codec is a compression codec by its number on the wire (attribute bits 0-2).
type Codec int8

// The codecs of Kafka. Zstd exists for magic 2 only (2.1, KIP-110). The numbers
// 5 to 7 are free; a batch that carries one is neither passed nor decoded.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// String returns the name that Kafka's compression.type uses, or "codec(n)".
func (c Codec) String() string {
	if c.Known() {
		return codecNames[c]
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Known reports whether c is a codec of this package.
func (c Codec) Known() bool { return c >= None && c <= Zstd }

// ParseCodec reads a name as used in compression.type. "uncompressed", the word
// of broker and topic configs, means the same as "none", the word of producers.
// "producer" is not a codec and is refused.
func ParseCodec(name string) (Codec, error) {
	if name == "uncompressed" {
		return None, nil
	}
	for c, known := range codecNames {
		if name == known {
			return Codec(c), nil
		}
	}
	return None, fmt.Errorf("parse compression codec %q: want none, gzip, snappy, lz4 or zstd", name)
}
