package digest

import (
	"fmt"
	"hash/maphash"

	"github.com/kferry/kferry/internal/batch"
)

// DefaultKeyLimit is how many keys a Comparer remembers for each side: about 100 bytes each.
const DefaultKeyLimit = 1 << 20

// Keys are the keys of records that only one side has, on a topic that the other side compacts. A cleaner
// removes a record only when a later one of the same key exists, or when it was a tombstone whose time was
// up. So each key must be settled in one of these ways, or there is a difference:
//
//   - the other side has a later record of the key: seen while comparing, or by Later behind the compared range;
//   - the last record of the key is a tombstone, and the other side has no record of the key at all: shown by
//     Earlier over the compared range.
//
// Keys are held as two independent hashes with random seeds, 128 bits together.
type Keys struct {
	side   Side // that has the records
	seeds  [2]maphash.Seed
	limit  int
	m      map[[2]uint64]*lone
	beyond int64 // offset of the first record whose key found no room, -1 if none
}

// lone is a key's records that only one side has and that are not settled.
type lone struct {
	first, last int64
	records     int64
	tombstone   bool  // the last one has a null value
	alive       int64 // for Earlier: offset of the other side's last record of this key with a value, -1 if none
}

func newKeys(side Side, limit int) *Keys {
	if limit <= 0 {
		limit = DefaultKeyLimit
	}
	return &Keys{side: side, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, limit: limit, beyond: -1}
}

// Len is the number of keys to settle.
func (k *Keys) Len() int { return len(k.m) }

// Limit is how many keys there is room for.
func (k *Keys) Limit() int { return k.limit }

// Beyond is the offset of the first record whose key could not be remembered, -1 if all were: from there on
// nothing is settled.
func (k *Keys) Beyond() int64 { return k.beyond }

// Tombstones says whether a key is left whose last record is a tombstone: Earlier has to be asked.
func (k *Keys) Tombstones() bool {
	for _, l := range k.m {
		if l.tombstone {
			return true
		}
	}
	return false
}

func (k *Keys) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(k.seeds[0], key), maphash.Bytes(k.seeds[1], key)}
}

// add remembers a record that only this side has.
func (k *Keys) add(r *batch.Record) {
	h := k.hash(r.Key)
	l := k.m[h]
	if l == nil {
		if len(k.m) >= k.limit {
			if k.beyond < 0 {
				k.beyond = r.Offset
			}
			return
		}
		if k.m == nil {
			k.m = map[[2]uint64]*lone{}
		}
		l = &lone{first: r.Offset, alive: -1}
		k.m[h] = l
	}
	l.last, l.tombstone = r.Offset, r.Value == nil
	l.records++
}

// settle is told of a record of the other side behind all that were added; it returns how many records it
// explains.
func (k *Keys) settle(key []byte) int64 {
	if len(k.m) == 0 || key == nil {
		return 0
	}
	h := k.hash(key)
	l := k.m[h]
	if l == nil {
		return 0
	}
	delete(k.m, h)
	return l.records
}

// Later reads the other side behind the compared range. It returns how many records found their explanation.
func (k *Keys) Later(c *Chunk) (thinned int64, err error) {
	err = k.scan(c, func(r *batch.Record) { thinned += k.settle(r.Key) })
	return thinned, err
}

// Earlier reads the other side's compared range again, from its beginning on.
func (k *Keys) Earlier(c *Chunk) error {
	return k.scan(c, func(r *batch.Record) {
		l := k.m[k.hash(r.Key)]
		if l == nil {
			return
		}
		l.alive = -1
		if r.Value != nil {
			l.alive = r.Offset
		}
	})
}

func (k *Keys) scan(c *Chunk, visit func(*batch.Record)) error {
	defer c.release()
	decoder := batch.NewDecoder(batch.DefaultLimits())
	for i := range c.pieces {
		p := &c.pieces[i]
		if p.aborted {
			continue
		}
		err := decoder.Records(&p.Batch, func(r *batch.Record) error {
			if r.Offset >= c.From && r.Key != nil {
				visit(r)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if c.corrupt != nil {
		return fmt.Errorf("%s", c.corrupt.Detail)
	}
	return nil
}

// Verdict returns the first of the keys that are different after all, how many there are, and how many are
// deleted on both sides. It is meaningful after Later and, if Tombstones, after Earlier.
func (k *Keys) Verdict() (first *Difference, differing, tombstones int64) {
	for _, l := range k.m {
		d := k.judge(l)
		if d == nil {
			tombstones++
			continue
		}
		differing++
		if first == nil || d.Offset < first.Offset {
			first = d
		}
	}
	return first, differing, tombstones
}

func (k *Keys) judge(l *lone) *Difference {
	other := k.side.Other()
	switch {
	case l.tombstone && l.alive < 0:
		return nil
	case l.tombstone:
		kind := Phantom
		if k.side == Source {
			kind = Missing
		}
		return &Difference{l.last, kind, fmt.Sprintf("a tombstone that the %s does not have, though its record at offset %d keeps the key alive there", other, l.alive)}
	case k.side == Target:
		return &Difference{l.last, StaleKey, "a record that the source does not have, nor any later one of its key: the key lives on the target only (its tombstone may have expired on the source before it was copied)"}
	}
	return &Difference{l.last, Missing, "a record that the target does not have, nor any later one of its key: the key lives on the source only"}
}
