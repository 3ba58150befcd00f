package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/kferry/kferry/internal/batch"
)

// content makes records that look like what is found in topics: JSON in which
// about half of the bytes, identifiers and tokens, tell a codec nothing.
type content struct {
	source *rand.ChaCha8
	random *rand.Rand
	value  []byte
	key    []byte
	noise  []byte
}

func newContent(seed uint64) *content {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	source := rand.NewChaCha8(s)
	return &content{source: source, random: rand.New(source)}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var words = []string{
	"accepted", "address", "amount", "account", "balance", "booking", "cancelled", "carrier", "confirmed", "courier",
	"customer", "delivery", "depot", "invoice", "item", "label", "order", "packed", "paid", "parcel",
	"payment", "pending", "quantity", "received", "refund", "returned", "route", "shipped", "storage", "transfer",
}

// record makes the record of an offset. size is what it will take in a batch,
// give or take two bytes. The slices are valid until the next call.
func (c *content) record(offset, timestamp int64, size int) batch.Record {
	const overhead = 14 // length, attributes, deltas, lengths of key and value, headers
	c.key = fmt.Appendf(c.key[:0], "%016x", c.random.Uint64())
	want := size - overhead - len(c.key)
	v := fmt.Appendf(c.value[:0], `{"id":"%016x","seq":%d,"state":"%s","token":"`, c.random.Uint64(), offset, c.word())
	v = c.appendNoise(v, want/2)
	v = append(v, `","note":"`...)
	for len(v) < want-2 {
		v = append(v, c.word()...)
		v = append(v, ' ')
	}
	v = append(v[:want-2], `"}`...)
	c.value = v
	return batch.Record{Offset: offset, Timestamp: timestamp, Key: c.key, Value: v}
}

func (c *content) word() string { return words[c.random.IntN(len(words))] }

func (c *content) appendNoise(v []byte, n int) []byte {
	if cap(c.noise) < n {
		c.noise = make([]byte, n)
	}
	noise := c.noise[:n]
	c.source.Read(noise)
	for i, b := range noise {
		noise[i] = alphabet[b&63]
	}
	return append(v, noise...)
}
