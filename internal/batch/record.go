package batch

// Record is one record. Nil Key or Value means null, which is not the same as
// empty: a null value is a tombstone.
type Record struct {
	Offset    int64
	Timestamp int64 // ms since 1970, NoTimestamp when the record has none
	Key       []byte
	Value     []byte
	Headers   []RecordHeader // in order; keys may repeat
}

// RecordHeader is one header of a record. The key is text by convention only and
// never null; a nil Value is null.
type RecordHeader struct {
	Key   []byte
	Value []byte
}

// minRecordSize is a record whose numbers all take one byte.
const minRecordSize = 7

// fields is a record of magic 2 as it stands in a payload: positions and deltas,
// not yet a Record.
type fields struct {
	timestampDelta int64
	offsetDelta    int32
	tail           int // where the key length is: from here on nothing depends on the batch
	headerCount    int32
	headers        int // where the first header is
	end            int // behind the record
	key, value     []byte
}

// parseRecord reads the record at p[i:] into f, checks every length in it and
// that it fills its own length exactly. It returns what is wrong, or "".
func parseRecord(p []byte, i int, f *fields) string {
	length, i := readVarint(p, i)
	if i < 0 || length < minRecordSize-1 || int64(length) > int64(len(p)-i) {
		return "record length"
	}
	f.end = i + int(length)
	p = p[:f.end]
	i++ // attributes of a record: defined, never used
	if f.timestampDelta, i = readVarlong(p, i); i < 0 {
		return "timestamp delta"
	}
	if f.offsetDelta, i = readVarint(p, i); i < 0 {
		return "offset delta"
	}
	f.tail = i
	if f.key, i = readBytes(p, i); i < 0 {
		return "key length"
	}
	if f.value, i = readBytes(p, i); i < 0 {
		return "value length"
	}
	if f.headerCount, i = readVarint(p, i); i < 0 || f.headerCount < 0 || int(f.headerCount) > (f.end-i)/2 {
		return "header count"
	}
	f.headers = i
	for range f.headerCount {
		var key []byte
		if key, i = readBytes(p, i); i < 0 || key == nil {
			return "header key length"
		}
		if _, i = readBytes(p, i); i < 0 {
			return "header value length"
		}
	}
	if i != f.end {
		return "record longer than its fields"
	}
	return ""
}

// appendHeaders reads the headers of a record that parseRecord found sound.
func (f *fields) appendHeaders(dst []RecordHeader, p []byte) []RecordHeader {
	i := f.headers
	for range f.headerCount {
		var h RecordHeader
		h.Key, i = readBytes(p, i)
		h.Value, i = readBytes(p, i)
		dst = append(dst, h)
	}
	return dst
}

// readBytes reads a length and that many bytes; length -1 gives nil. The index
// is -1 when the length is below -1 or runs over the end.
func readBytes(p []byte, i int) ([]byte, int) {
	n, i := readVarint(p, i)
	switch {
	case i < 0 || n < -1 || int64(n) > int64(len(p)-i):
		return nil, -1
	case n < 0:
		return nil, i
	}
	end := i + int(n)
	return p[i:end:end], end
}

// appendBytes writes a length and the bytes, length -1 for nil.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // zigzag of -1
	}
	return append(appendVarint(dst, int32(len(b))), b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int32(len(b))) + len(b)
}
