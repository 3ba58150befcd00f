package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ControlType says what a control batch marks. Values that this package does
// not name are kept as they are.
type ControlType int16

const (
	// Emptied is a control batch without a record: the cleaner removed the
	// marker and kept the batch for the producer's sequence.
	Emptied ControlType = -1
	// Abort ends a transaction whose records are not to be read (KIP-98).
	Abort ControlType = 0
	// Commit ends a transaction whose records hold (KIP-98).
	Commit ControlType = 1
)

// String returns the name, or "control(n)".
func (t ControlType) String() string {
	switch t {
	case Emptied:
		return "emptied"
	case Abort:
		return "abort"
	case Commit:
		return "commit"
	}
	return fmt.Sprintf("control(%d)", int16(t))
}

// ControlType reads the marker of a control batch. Markers of later versions
// are read too: version and type keep their place (KIP-98). It is an error to
// ask a data batch.
func (b *Batch) ControlType() (ControlType, error) {
	if b.Magic != 2 || !b.Control() {
		return Emptied, fmt.Errorf("read control type at offset %d: not a control batch", b.BaseOffset)
	}
	d := sharedDecoders.Get().(*Decoder)
	defer sharedDecoders.Put(d)
	defer d.release()

	var key []byte
	found := errors.New("first record found")
	switch err := d.walk(b, func(f *fields) error { key = f.key; return found }); {
	case err == nil:
		return Emptied, nil
	case err != found:
		return Emptied, err
	}
	if len(key) < 4 || int16(binary.BigEndian.Uint16(key)) < 0 {
		return Emptied, corrupt(b.BaseOffset, "control record with a key of %d bytes", len(key))
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

func controlError(offset int64) error {
	return fmt.Errorf("batch at offset %d: %w", offset, ErrControl)
}
