package main

import (
	"math"

	"github.com/kferry/kferry/internal/batch"
	"github.com/kferry/kferry/internal/bench/result"
)

// workload is a topic to copy. Its batches are full, and all of one size.
type workload struct {
	name        string
	codec       batch.Codec
	partitions  int
	recordBytes int   // of an encoded record, before compression
	perBatch    int   // records of a batch
	records     int64 // at scale 1
	logStart    int64 // at scale 1: offsets before the first record
	config      map[string]string
	note        string
}

var (
	loadNone = workload{name: result.LoadNone, codec: batch.None, partitions: 8, recordBytes: 1024, perBatch: 128, records: 2_000_000}
	loadLZ4  = workload{name: result.LoadLZ4, codec: batch.LZ4, partitions: 8, recordBytes: 1024, perBatch: 128, records: 2_000_000}
	loadZstd = workload{name: result.LoadZstd, codec: batch.Zstd, partitions: 8, recordBytes: 1024, perBatch: 128, records: 2_000_000}
	smallLZ4 = workload{name: result.SmallLZ4, codec: batch.LZ4, partitions: 8, recordBytes: 200, perBatch: 80, records: 5_000_000}
	manyLZ4  = workload{name: "many-lz4", codec: batch.LZ4, partitions: 1000, recordBytes: 1024, perBatch: 16, records: 512_000}
	hotLZ4   = workload{name: result.HotLZ4, codec: batch.LZ4, partitions: 1, recordBytes: 1024, perBatch: 128, records: 512_000}
	appended = workload{name: "appended-lz4", codec: batch.LZ4, partitions: 8, recordBytes: 1024, perBatch: 128, records: 1_000_000,
		config: map[string]string{"message.timestamp.type": "LogAppendTime"}, note: "LogAppendTime"}
	late = workload{name: "late", codec: batch.LZ4, partitions: 1, recordBytes: 1024, perBatch: 128, records: 1_280, logStart: 100_000_000,
		note: "log start at 100 M"}
)

// rows is how many batches each partition gets at a scale.
func (w workload) rows(scale float64) int {
	perRow := float64(w.partitions * w.perBatch)
	return max(1, int(math.Ceil(float64(w.records)*scale/perRow)))
}

// start is the first offset that holds a record at a scale.
func (w workload) start(scale float64) int64 {
	return int64(float64(w.logStart)*scale) / batch.MaxFiller * batch.MaxFiller
}

// ends is the sum of the partitions' log ends at a scale.
func (w workload) ends(scale float64) int64 {
	return w.start(scale)*int64(w.partitions) + int64(w.rows(scale))*int64(w.partitions)*int64(w.perBatch)
}
