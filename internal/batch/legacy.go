package batch

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"sync"
)

// Where the fields of a message of magic 0 and 1 are.
const (
	atLegacyCRC        = 12
	atLegacyAttributes = 17
	atLegacyTimestamp  = 18 // magic 1 only
)

// message is one message of magic 0 or 1.
type message struct {
	offset     int64 // as on the wire: absolute, or relative in a magic 1 wrapper
	timestamp  int64
	attributes byte
	magic      byte
	tail       int // where the key length is, counted from the start of the input
	end        int // behind the message
	key, value []byte
}

// parseMessage reads the message at p[i:] into m and checks every length in it.
// It returns what is wrong, or "".
func parseMessage(p []byte, i int, m *message) string {
	if len(p)-i < prefixSize+minLength0 {
		return "message cut short"
	}
	be := binary.BigEndian
	length := int32(be.Uint32(p[i+atLength:]))
	if length < minLength0 || int64(length) > int64(len(p)-i-prefixSize) {
		return "message length"
	}
	m.end = i + prefixSize + int(length)
	m.offset = int64(be.Uint64(p[i:]))
	m.magic, m.attributes = p[i+atMagic], p[i+atLegacyAttributes]
	switch {
	case m.magic == 0:
		m.timestamp, m.tail = NoTimestamp, i+atLegacyTimestamp
	case m.magic == 1 && length >= minLength1:
		m.timestamp, m.tail = int64(be.Uint64(p[i+atLegacyTimestamp:])), i+atLegacyTimestamp+8
	default:
		return "message magic"
	}
	p = p[:m.end]
	at := m.tail
	if m.key, at = readBytes32(p, at); at < 0 {
		return "key length"
	}
	if m.value, at = readBytes32(p, at); at < 0 {
		return "value length"
	}
	if at != m.end {
		return "message longer than its fields"
	}
	return ""
}

// readBytes32 reads a 4-byte length and that many bytes; length -1 gives nil.
// The index is -1 when the length is below -1 or runs over the end.
func readBytes32(p []byte, i int) ([]byte, int) {
	if len(p)-i < 4 {
		return nil, -1
	}
	n := int32(binary.BigEndian.Uint32(p[i:]))
	i += 4
	switch {
	case n < -1 || int64(n) > int64(len(p)-i):
		return nil, -1
	case n < 0:
		return nil, i
	}
	end := i + int(n)
	return p[i:end:end], end
}

// legacyHeader describes one outer message and what is inside it.
func legacyHeader(raw []byte) (Header, error) {
	h, m, err := outerMessage(raw)
	if err != nil || h.Codec() == None {
		return h, err
	}
	d := sharedDecoders.Get().(*Decoder)
	defer sharedDecoders.Put(d)
	defer d.release()
	d.alone = true
	inner, err := d.unwrap(&h, &m)
	if err != nil {
		return Header{}, err
	}
	last := h.BaseOffset // the outer message has the offset of the last one
	h.BaseOffset, h.Count = inner.first, inner.count
	h.LastOffsetDelta = int32(last - inner.first)
	return h, nil
}

// outerMessage reads raw as one message, without looking inside a wrapper.
func outerMessage(raw []byte) (Header, message, error) {
	var m message
	if len(raw) < prefixSize+minLength0 {
		return Header{}, m, corrupt(-1, "%d bytes, not even a message", len(raw))
	}
	base := int64(binary.BigEndian.Uint64(raw))
	if base == math.MaxInt64 {
		return Header{}, m, corrupt(base, "there is no offset behind it")
	}
	if what := parseMessage(raw, 0, &m); what != "" {
		return Header{}, m, corrupt(base, "magic %d: bad %s", raw[atMagic], what)
	}
	h := Header{
		BaseOffset:           base,
		Length:               int32(len(raw) - prefixSize),
		PartitionLeaderEpoch: -1,
		Magic:                int8(m.magic),
		CRC:                  binary.BigEndian.Uint32(raw[atLegacyCRC:]),
		Attributes:           int16(m.attributes & attrCodec),
		BaseTimestamp:        m.timestamp,
		MaxTimestamp:         m.timestamp,
		ProducerID:           -1,
		ProducerEpoch:        -1,
		BaseSequence:         -1,
		Count:                1,
	}
	if m.magic == 1 {
		// The other bits never had a meaning here and never will; brokers and
		// clients of all versions ignore them.
		h.Attributes = int16(m.attributes & (attrCodec | attrLogAppendTime))
	}
	if h.Codec() > LZ4 {
		return Header{}, m, unsupported(base, "codec %s in magic %d", h.Codec(), m.magic)
	}
	return h, m, nil
}

// sharedDecoders serve the functions that have no Decoder of their own.
var sharedDecoders = sync.Pool{New: func() any { return NewDecoder(DefaultLimits()) }}

// wrapper is the inside of a compressed outer message, decompressed.
type wrapper struct {
	payload []byte
	base    int64 // what to add to the offsets inside
	first   int64 // absolute offset of the first message
	count   int32
}

// unwrap decompresses the wrapper m and finds its offsets. h is what
// outerMessage returned: h.BaseOffset is the outer offset.
//
// The offsets inside must rise and may not run over the outer one. They may
// leave holes: the cleaner recompresses what it keeps.
func (d *Decoder) unwrap(h *Header, m *message) (wrapper, error) {
	var w wrapper
	outer := h.BaseOffset
	if m.value == nil {
		return w, corrupt(outer, "compressed message with null value")
	}
	var err error
	if w.payload, err = d.decompress(h.Codec(), m.value, outer); err != nil {
		return w, err
	}
	var inner message
	var first, last int64
	for i := 0; i < len(w.payload); i = inner.end {
		if what := parseMessage(w.payload, i, &inner); what != "" {
			return w, corrupt(outer, "inner message %d: bad %s", w.count, what)
		}
		if inner.attributes&attrCodec != 0 {
			return w, corrupt(outer, "inner message %d is itself compressed", w.count)
		}
		if inner.offset < 0 || (w.count > 0 && inner.offset <= last) {
			return w, corrupt(outer, "inner message %d: offset %d after %d", w.count, inner.offset, last)
		}
		if int(w.count) >= d.limits.MaxRecords {
			return w, overLimit(outer, "more than %d records", d.limits.MaxRecords)
		}
		if w.count == 0 {
			first = inner.offset
		}
		last = inner.offset
		w.count++
	}
	if w.count == 0 {
		return w, corrupt(outer, "compressed message without a message inside")
	}
	if m.magic == 1 {
		w.base = outer - last
	}
	w.first = w.base + first
	if last > outer || outer-w.first > math.MaxInt32 {
		return w, corrupt(outer, "inner offsets %d to %d do not fit the outer one", first, last)
	}
	return w, nil
}

// legacyRecords is Records for magic 0 and 1.
func (d *Decoder) legacyRecords(b *Batch, visit func(offset, timestamp int64, m *message) error) error {
	h, m, err := outerMessage(b.Raw)
	if err != nil {
		return err
	}
	if h.Codec() == None {
		d.payload = b.Raw
		return visit(h.BaseOffset, m.timestamp, &m)
	}
	w, err := d.unwrap(&h, &m)
	if err != nil {
		return err
	}
	d.payload = w.payload
	var inner message
	for i := 0; i < len(w.payload); i = inner.end {
		parseMessage(w.payload, i, &inner) // found sound by unwrap
		if sum := crc32.ChecksumIEEE(w.payload[i+atMagic : inner.end]); sum != binary.BigEndian.Uint32(w.payload[i+atLegacyCRC:]) {
			return corrupt(h.BaseOffset, "checksum of the inner message at offset %d does not match", w.base+inner.offset)
		}
		timestamp := inner.timestamp
		if h.LogAppendTime() && inner.magic == 1 {
			timestamp = m.timestamp
		}
		if err := visit(w.base+inner.offset, timestamp, &inner); err != nil {
			return err
		}
	}
	return nil
}
