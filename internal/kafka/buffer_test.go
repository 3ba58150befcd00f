package kafka

import "testing"

func TestBufferClass(t *testing.T) {
	for _, n := range []int{1, minBuffer - 1, minBuffer, minBuffer + 1, 80 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 123, maxBuffer} {
		class, size := bufferClass(n)
		if size < n {
			t.Errorf("bufferClass(%d): size %d is too small", n, size)
		}
		if n > minBuffer && size > n+n/4+1 {
			t.Errorf("bufferClass(%d): size %d wastes more than a quarter", n, size)
		}
		if again, same := bufferClass(size); again != class || same != size {
			t.Errorf("bufferClass(%d) = %d, %d, but for its size %d, %d", n, class, size, again, same)
		}
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
