package batch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// benchRecords are n records of about size bytes that compress some 3 to 1.
func benchRecords(n, size int) []Record {
	random := rand.New(rand.NewPCG(3, 4))
	recs := make([]Record, n)
	for i := range recs {
		value := make([]byte, 0, size)
		for len(value) < size-20 {
			value = fmt.Appendf(value, `{"id":%d,"name":"customer %d","amount":%d.%02d,"currency":"EUR"},`, random.Uint32(), random.IntN(1000), random.IntN(10000), random.IntN(100))
		}
		recs[i] = Record{Offset: int64(i), Timestamp: 1_700_000_000_000 + int64(i), Key: fmt.Appendf(nil, "%08x", random.Uint32()), Value: value[:size-20]}
	}
	return recs
}

// shapes are the batches of the product's benchmarks: 128 KB of 1 KB records and
// 16 KB of 200 B records, both uncompressed sizes.
var shapes = map[string]struct{ n, size int }{"128KB": {126, 1024}, "16KB": {80, 200}}

func BenchmarkNextPassableRewrite(b *testing.B) {
	for name, s := range shapes {
		b.Run(name, func(b *testing.B) {
			raw := build(b, benchRecords(s.n, s.size), None)
			seq := int32(0)
			b.ReportAllocs()
			for b.Loop() {
				x, _, err := Next(raw)
				if err != nil || Passable(&x.Header, x.BaseOffset, 1<<20) != ReasonNone {
					b.Fatal(err)
				}
				if err := Rewrite(x.Raw, Producer{ID: 9, Epoch: 1, Sequence: seq}); err != nil {
					b.Fatal(err)
				}
				seq = NextSequence(seq, x.Count)
			}
		})
	}
}

func BenchmarkCheckCRC(b *testing.B) {
	x := next(b, build(b, benchRecords(126, 1024), None))
	b.SetBytes(int64(len(x.Raw)))
	for b.Loop() {
		if err := x.CheckCRC(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecords(b *testing.B) { benchBatches(b, decodeOnce) }
func BenchmarkRecode(b *testing.B)  { benchBatches(b, recodeOnce) }

func decodeOnce(d *Decoder, x *Batch) error { return d.Records(x, func(*Record) error { return nil }) }

func recodeOnce(d *Decoder, x *Batch) error {
	_, err := d.Recode(x, 0, RecodeOptions{})
	return err
}

// benchBatches reports bytes before compression.
func benchBatches(b *testing.B, once func(*Decoder, *Batch) error) {
	for name, s := range shapes {
		recs := benchRecords(s.n, s.size)
		plain := len(build(b, recs, None))
		for _, codec := range codecs {
			b.Run(name+"/"+codec.String(), func(b *testing.B) {
				x := next(b, build(b, recs, codec))
				d := NewDecoder(Limits{})
				b.SetBytes(int64(plain))
				b.ReportAllocs()
				for b.Loop() {
					if err := once(d, x); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(plain)/float64(len(x.Raw)), "ratio")
			})
		}
	}
}

// BenchmarkCodecAlone is what Recode cannot be faster than: the codecs of
// franz-go, decompressing and compressing, with nothing in between.
func BenchmarkCodecAlone(b *testing.B) {
	recs := benchRecords(126, 1024)
	for i, c := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		b.Run(codecs[i+1].String(), func(b *testing.B) {
			x := next(b, writeByKgo(b, recs, codecs[i+1]))
			compressor, err := kgo.DefaultCompressor(c)
			if err != nil {
				b.Fatal(err)
			}
			decompressor := kgo.DefaultDecompressor()
			var dst bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				p, err := decompressor.Decompress(x.Payload(), kgo.CompressionCodecType(codecs[i+1]))
				if err != nil {
					b.Fatal(err)
				}
				dst.Reset()
				compressor.Compress(&dst, p)
				b.SetBytes(int64(len(p)))
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			const batches = 32
			var in []*Batch
			plain := 0
			for i := range batches {
				recs := benchRecords(10, 200)
				for j := range recs {
					recs[j].Offset += int64(10 * i)
				}
				in = append(in, next(b, build(b, recs, codec)))
				plain += len(build(b, recs, None))
			}
			d := NewDecoder(Limits{})
			var into Builder
			b.SetBytes(int64(plain))
			b.ReportAllocs()
			for b.Loop() {
				into.Reset()
				for _, x := range in {
					if err := d.Merge(&into, x, 0); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := into.Finish(codec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFiller(b *testing.B) {
	for b.Loop() {
		if Filler(MaxFiller) == nil {
			b.Fatal()
		}
	}
}

func BenchmarkRewriteFiller(b *testing.B) {
	raw := Filler(MaxFiller)
	for b.Loop() {
		if err := Rewrite(raw, Producer{ID: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
