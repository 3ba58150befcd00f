package batch

// Limits bound what one batch may cost. A zero field means its default.
type Limits struct {
	// MaxDecompressed is the decompressed size of one batch in bytes, at most
	// 1 GiB. Default 256 MiB: a batch of Kafka's default size, 1 MB, would have
	// to compress 256 to 1 to reach it, which real data does not do, and a
	// decoder on every core of a small machine may still meet it at once.
	MaxDecompressed int

	// MaxRecords is the number of records of one batch. Default 4,194,304: four
	// times the largest filler; Recode keeps 24 bytes a record, so 100 MB.
	MaxRecords int

	// MaxHeaders is the number of headers of one record. Default 65,536: a
	// decoder keeps 48 bytes for each.
	MaxHeaders int

	// KeepBuffer is how large, in bytes, each buffer may be that a decoder keeps
	// for its next batch. Default 8 MiB, room for ordinary batches; larger ones
	// are left to the garbage collector. What decompresses to more is recoded and
	// merged one at a time in the whole process, however many decoders there are.
	KeepBuffer int
}

// DefaultLimits returns the limits that a zero Limits stands for.
func DefaultLimits() Limits {
	return Limits{MaxDecompressed: 256 << 20, MaxRecords: 4 << 20, MaxHeaders: 64 << 10, KeepBuffer: 8 << 20}
}

// maxDecompressedCap keeps positions in a payload within 32 bits.
const maxDecompressedCap = 1 << 30

func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	if l.MaxDecompressed <= 0 {
		l.MaxDecompressed = def.MaxDecompressed
	}
	l.MaxDecompressed = min(l.MaxDecompressed, maxDecompressedCap)
	if l.MaxRecords <= 0 {
		l.MaxRecords = def.MaxRecords
	}
	if l.MaxHeaders <= 0 {
		l.MaxHeaders = def.MaxHeaders
	}
	if l.KeepBuffer <= 0 {
		l.KeepBuffer = def.KeepBuffer
	}
	return l
}

// Decoder decodes and recodes batches with buffers that it reuses. Not safe for
// concurrent use; make one for each goroutine that decodes.
type Decoder struct {
	limits  Limits
	codecs  decompressor
	payload []byte // of the batch in hand, decompressed; may alias the batch
	headers []RecordHeader
	spans   []span
	builder Builder
	alone   bool // what is done with the batch in hand waits for nobody, so it may wait for the large slot
	large   bool // it has it
}

// largeSlot is held by the one decoder of the process that works on a batch larger than its KeepBuffer.
// Only whoever waits for nobody else meanwhile may hold it: Records does not, because its caller may be
// reading another decoder's records at the same time.
var largeSlot = make(chan struct{}, 1)

func (d *Decoder) enterLarge() {
	if !d.large {
		largeSlot <- struct{}{}
		d.large = true
	}
}

// NewDecoder returns a decoder that holds to limits.
func NewDecoder(limits Limits) *Decoder {
	return &Decoder{limits: limits.withDefaults()}
}

// Records calls fn for each record of a data batch in offset order. The record,
// its slices and its header slice are valid until fn returns; fn may not use the
// decoder. It works for all formats and codecs. A batch with the LogAppendTime bit yields its MaxTimestamp
// for every record, as it does in every client.
//
// An error of fn ends the walk and is returned as it is. Otherwise the error is
// an ErrCorrupt that names the batch's offset; fn may have seen the records
// before the fault. A control batch is an ErrControl. The checksum is not
// looked at: see Batch.CheckCRC.
func (d *Decoder) Records(b *Batch, fn func(*Record) error) error {
	defer d.release()
	var rec Record
	if b.Magic != 2 {
		return d.legacyRecords(b, func(offset, timestamp int64, m *message) error {
			rec = Record{Offset: offset, Timestamp: timestamp, Key: m.key, Value: m.value}
			return fn(&rec)
		})
	}
	if b.Control() {
		return controlError(b.BaseOffset)
	}
	return d.walk(b, func(f *fields) error {
		d.headers = f.appendHeaders(d.headers[:0], d.payload)
		rec = Record{
			Offset:    b.BaseOffset + int64(f.offsetDelta),
			Timestamp: b.timestamp(f),
			Key:       f.key,
			Value:     f.value,
			Headers:   d.headers,
		}
		return fn(&rec)
	})
}

// timestamp is the time of one record. The sum wraps at 64 bits as it does in
// the Java client, so that it can be taken apart again without loss.
func (h *Header) timestamp(f *fields) int64 {
	if h.LogAppendTime() {
		return h.MaxTimestamp
	}
	return h.BaseTimestamp + f.timestampDelta
}

// walk decompresses a magic-2 batch into d.payload and visits its records.
// It holds the batch to what it claims: as many records as counted, offsets
// rising and inside the batch, nothing left over.
func (d *Decoder) walk(b *Batch, visit func(*fields) error) error {
	if b.Attributes&^attrKnown != 0 {
		return unsupported(b.BaseOffset, "attributes %#x", uint16(b.Attributes))
	}
	if len(b.Raw) < HeaderSize {
		return corrupt(b.BaseOffset, "%d bytes, not even a head", len(b.Raw))
	}
	if int64(b.Count) > int64(d.limits.MaxRecords) {
		return overLimit(b.BaseOffset, "%d records, the limit is %d", b.Count, d.limits.MaxRecords)
	}
	if d.payload = b.Payload(); b.Count > 0 {
		var err error
		if d.payload, err = d.decompress(b.Codec(), d.payload, b.BaseOffset); err != nil {
			return err
		}
	}
	var f fields
	last, at := int32(-1), 0
	for n := range b.Count {
		if what := parseRecord(d.payload, at, &f); what != "" {
			return corrupt(b.BaseOffset, "record %d of %d: bad %s", n, b.Count, what)
		}
		if f.offsetDelta <= last || f.offsetDelta > b.LastOffsetDelta {
			return corrupt(b.BaseOffset, "record %d of %d: offset delta %d after %d, the last is %d", n, b.Count, f.offsetDelta, last, b.LastOffsetDelta)
		}
		if int(f.headerCount) > d.limits.MaxHeaders {
			return overLimit(b.BaseOffset, "record %d of %d has %d headers, the limit is %d", n, b.Count, f.headerCount, d.limits.MaxHeaders)
		}
		last, at = f.offsetDelta, f.end
		if err := visit(&f); err != nil {
			return err
		}
	}
	if at != len(d.payload) {
		return corrupt(b.BaseOffset, "%d bytes behind the last of %d records", len(d.payload)-at, b.Count)
	}
	return nil
}

// release forgets the batch in hand, and buffers too large to keep.
func (d *Decoder) release() {
	d.payload = nil
	clear(d.headers)
	d.headers = d.headers[:0]
	keep := d.limits.KeepBuffer
	d.codecs.trim(keep)
	d.builder.trim(keep)
	if cap(d.spans) > keep/spanSize {
		d.spans = nil
	}
	d.alone = false
	if d.large {
		d.large = false
		<-largeSlot
	}
}
