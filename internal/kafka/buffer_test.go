package kafka

import "testing"

func TestBufferSize(t *testing.T) {
	for _, n := range []int{1, minBuffer - 1, minBuffer, minBuffer + 1, 80 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 123, maxBuffer} {
		size := bufferSize(n)
		if size < n {
			t.Errorf("bufferSize(%d) = %d is too small", n, size)
		}
		if n > minBuffer && size > n+n/4+1 {
			t.Errorf("bufferSize(%d) = %d wastes more than a quarter", n, size)
		}
		if again := bufferSize(size); again != size {
			t.Errorf("bufferSize(%d) = %d, but of that %d", n, size, again)
		}
	}
}

func TestBuffersAreReused(t *testing.T) {
	const mib = 1 << 20
	big := NewBuffer(7 * mib)
	at := &big.B[0]
	big.Release()
	if b := NewBuffer(3 * mib); &b.B[0] == at {
		t.Error("3 MiB took a buffer of more than twice their size")
	}
	if b := NewBuffer(6 * mib); &b.B[0] != at || len(b.B) != 6*mib {
		t.Error("6 MiB did not take the spare buffer of 7")
	}
	for range 10 {
		NewBuffer(maxSpare / 2).Release()
		NewBuffer(maxSpare / 3).Release()
	}
	if spare.bytes > maxSpare || spare.bytes == 0 {
		t.Errorf("%d bytes are spare, at most %d may be", spare.bytes, maxSpare)
	}
}

func TestBufferIsFreedOnce(t *testing.T) {
	b := NewBuffer(100)
	freed := 0
	b.OnFree = func() { freed++ }
	b.Retain()
	b.Release()
	if freed != 0 {
		t.Fatal("freed while a reference was left")
	}
	b.Release()
	if freed != 1 {
		t.Fatalf("freed %d times, want once", freed)
	}
}
