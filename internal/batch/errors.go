package batch

import (
	"errors"
	"fmt"
)

// What a caller may test for with errors.Is.
var (
	// ErrPartial says that the input ends inside its first batch. It is normal
	// at the end of a fetched partition: brokers cut at the size asked for.
	// [WireSize] tells how many bytes the batch needs.
	ErrPartial = errors.New("input ends inside a batch")

	// ErrCorrupt says that bytes break the format. Fetching them again from the
	// same replica will not help.
	ErrCorrupt = errors.New("corrupt batch")

	// ErrChecksum is the kind of ErrCorrupt that CheckCRC returns.
	ErrChecksum = errors.New("checksum mismatch")

	// ErrUnsupported is the kind of ErrCorrupt for a batch that may be sound but
	// uses a magic, a codec or an attribute bit that this package does not know.
	ErrUnsupported = errors.New("unsupported batch")

	// ErrLimit is the kind of ErrCorrupt for a batch that exceeds [Limits].
	// Raising the limit named in the message may help.
	ErrLimit = errors.New("batch exceeds a limit")

	// ErrTooLarge says that one record alone does not fit the size asked for.
	ErrTooLarge = errors.New("record too large")

	// ErrControl says that a control batch was given where records were expected.
	ErrControl = errors.New("control batch holds no records")
)

// Error is a fault in one batch. errors.Is(err, ErrCorrupt) holds for every
// Error; Kind narrows it down.
type Error struct {
	Offset int64  // base offset as read, -1 when not even that could be read
	What   string // what is wrong, with the numbers; never payload bytes
	Kind   error  // ErrCorrupt, ErrChecksum, ErrUnsupported or ErrLimit
	Cause  error  // the codec's own error, may be nil
}

func (e *Error) Error() string {
	s := fmt.Sprintf("batch at offset %d: %s", e.Offset, e.What)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is makes every Error an ErrCorrupt as well as its own kind.
func (e *Error) Is(target error) bool { return target == ErrCorrupt || target == e.Kind }

// Unwrap returns the codec's own error.
func (e *Error) Unwrap() error { return e.Cause }

// TooLargeError names the record that does not fit. It is an ErrTooLarge.
type TooLargeError struct {
	Offset int64 // of the record
	Size   int   // bytes of the smallest batch that holds just this record
	Max    int   // bytes allowed
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("record at offset %d needs a batch of %d bytes, the limit is %d: raise max.message.bytes of the target topic", e.Offset, e.Size, e.Max)
}

// Is reports whether target is ErrTooLarge.
func (e *TooLargeError) Is(target error) bool { return target == ErrTooLarge }

func corrupt(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, What: fmt.Sprintf(format, args...), Kind: ErrCorrupt}
}

func unsupported(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, What: fmt.Sprintf(format, args...), Kind: ErrUnsupported}
}

func overLimit(offset int64, format string, args ...any) error {
	return &Error{Offset: offset, What: fmt.Sprintf(format, args...), Kind: ErrLimit}
}
