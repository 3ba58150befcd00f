package batch

import "math"

// Run is one contiguous stretch of records as a batch that a broker takes from
// a client once Rewrite has set its producer.
type Run struct {
	Base  int64  // source offset of the first record
	Count int32  // records, and offsets
	Raw   []byte // one complete magic-2 batch, base offset 0; belongs to the caller
}

// RecodeOptions says how Recode writes.
type RecodeOptions struct {
	// Codec of the runs; nil means that of the source batch.
	Codec *Codec

	// MaxBytes is the largest run on the wire, the target's max.message.bytes.
	// 0 means any.
	MaxBytes int
}

// Recode writes the records of a data batch anew: the same keys, values,
// headers and timestamps, as CreateTime batches of magic 2. Each run covers
// offsets without a hole; it ends where a hole begins or where MaxBytes is
// reached. Records with an offset below from are left out; when none remains
// there is no run.
//
// A record that exceeds MaxBytes alone is a TooLargeError; one that exceeds it
// because its codec made it larger is written uncompressed. Other errors are
// those of Records.
func (d *Decoder) Recode(b *Batch, from int64, o RecodeOptions) ([]Run, error) {
	defer d.release()
	d.alone = true
	if err := d.collect(b, from); err != nil {
		return nil, err
	}
	codec := b.Codec()
	if o.Codec != nil {
		codec = *o.Codec
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = math.MaxInt32
	}
	e := encoder{Decoder: d, magic: b.Magic, base: b.BaseOffset, codec: codec, maxBytes: o.MaxBytes}
	for spans := d.spans; len(spans) > 0; {
		n := 1
		for n < len(spans) && spans[n].delta == spans[n-1].delta+1 {
			n++
		}
		if err := e.encode(spans[:n]); err != nil {
			return nil, err
		}
		spans = spans[n:]
	}
	return e.runs, nil
}

// Merge adds the records of a data batch, from offset from on, to a builder that
// goes on where they begin: many small batches become one run. When it fails the
// builder is as before; its error is then that of Records, or a plain one when
// the batch has holes or does not follow. Size tells when the builder is full.
func (d *Decoder) Merge(into *Builder, b *Batch, from int64) error {
	defer d.release()
	d.alone = true
	if err := d.collect(b, from); err != nil {
		return err
	}
	e := encoder{Decoder: d, magic: b.Magic, base: b.BaseOffset}
	before := into.mark()
	for i := range d.spans {
		if err := e.append(into, &d.spans[i]); err != nil {
			into.rewind(before)
			return err
		}
	}
	return nil
}

// span is one record to be written: where its bytes are in the payload, from
// the key length on.
type span struct {
	timestamp  int64
	delta      int32 // offset - base offset of the batch
	start, end uint32
}

const spanSize = 24 // bytes of a span

// collect fills d.spans with the records from offset from on, and d.payload
// with the bytes they point to.
func (d *Decoder) collect(b *Batch, from int64) error {
	d.spans = d.spans[:0]
	if b.Magic != 2 {
		return d.legacyRecords(b, func(offset, timestamp int64, m *message) error {
			if offset >= from {
				d.spans = append(d.spans, span{timestamp, int32(offset - b.BaseOffset), uint32(m.tail), uint32(m.end)})
			}
			return nil
		})
	}
	if b.Control() {
		return controlError(b.BaseOffset)
	}
	return d.walk(b, func(f *fields) error {
		if b.BaseOffset+int64(f.offsetDelta) >= from {
			d.spans = append(d.spans, span{b.timestamp(f), f.offsetDelta, uint32(f.tail), uint32(f.end)})
		}
		return nil
	})
}

// encoder writes spans of one batch as runs.
type encoder struct {
	*Decoder
	magic    int8
	base     int64 // offset of the source batch
	codec    Codec
	maxBytes int
	runs     []Run
}

// encode writes spans, which have no holes, as one run or, if that is larger
// than allowed, as several.
func (e *encoder) encode(spans []span) error {
	if e.codec == None {
		return e.encodePlain(spans)
	}
	raw, err := e.build(spans, e.codec)
	if err != nil {
		return err
	}
	if len(raw) <= e.maxBytes {
		e.add(spans, raw)
		return nil
	}
	if len(spans) > 1 {
		return e.split(spans, len(raw))
	}
	if plain := e.builder.Size(); plain > e.maxBytes {
		return &TooLargeError{Offset: e.base + int64(spans[0].delta), Size: min(plain, len(raw)), Max: e.maxBytes}
	}
	return e.finishPlain(spans) // the codec made it larger
}

// split cuts spans, which came out at size bytes, into parts of equal weight
// that should each fit, and encodes them; parts that still do not are cut again.
func (e *encoder) split(spans []span, size int) error {
	total := 0
	for i := range spans {
		total += spans[i].weight()
	}
	share := max(1, int(float64(total)*float64(e.maxBytes)/float64(size)*0.95))
	for len(spans) > 0 {
		n, weight := 1, spans[0].weight()
		for n < len(spans) && weight+spans[n].weight() <= share {
			weight += spans[n].weight()
			n++
		}
		if err := e.encode(spans[:n]); err != nil {
			return err
		}
		spans = spans[n:]
	}
	return nil
}

// weight is about the bytes of the record before compression.
func (s *span) weight() int { return int(s.end-s.start) + minRecordSize }

// encodePlain writes spans uncompressed, as many to a run as fit: here the size
// is known without trying.
func (e *encoder) encodePlain(spans []span) error {
	start := 0
	e.builder.Reset()
	for i := 0; i < len(spans); i++ {
		before := e.builder.mark()
		if err := e.append(&e.builder, &spans[i]); err != nil {
			return err
		}
		if e.builder.Size() <= e.maxBytes {
			continue
		}
		if i == start {
			return &TooLargeError{Offset: e.base + int64(spans[i].delta), Size: e.builder.Size(), Max: e.maxBytes}
		}
		e.builder.rewind(before)
		if err := e.finishPlain(spans[start:i]); err != nil {
			return err
		}
		start, i = i, i-1
	}
	return e.finishPlain(spans[start:])
}

func (e *encoder) finishPlain(spans []span) error {
	raw, err := e.builder.Finish(None)
	if err != nil {
		return err
	}
	e.add(spans, raw)
	e.builder.Reset()
	return nil
}

// build returns spans as one batch.
func (e *encoder) build(spans []span, codec Codec) ([]byte, error) {
	e.builder.Reset()
	for i := range spans {
		if err := e.append(&e.builder, &spans[i]); err != nil {
			return nil, err
		}
	}
	return e.builder.Finish(codec)
}

// append adds one span to a builder. Of a magic-2 record the bytes from the key
// length on are taken as they are; a message is taken apart.
func (e *encoder) append(to *Builder, s *span) error {
	offset := e.base + int64(s.delta)
	p := e.payload[s.start:s.end]
	if e.magic == 2 {
		return to.appendTail(offset, s.timestamp, p)
	}
	r := Record{Offset: offset, Timestamp: s.timestamp}
	at := 0
	r.Key, at = readBytes32(p, at)
	r.Value, _ = readBytes32(p, at)
	return to.Append(&r)
}

func (e *encoder) add(spans []span, raw []byte) {
	e.runs = append(e.runs, Run{Base: e.base + int64(spans[0].delta), Count: int32(len(spans)), Raw: raw})
}
