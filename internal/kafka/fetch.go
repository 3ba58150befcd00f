package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// FetchPosition asks for one partition from one offset on.
type FetchPosition struct {
	estate.TopicPartition
	TopicID     estate.TopicID // zero: fetch by name
	Offset      int64
	LeaderEpoch int32 // as in the metadata, -1 to have the broker skip the check
	LastEpoch   int32 // leader epoch of the batch before Offset, -1 if unknown; lets the broker see a divergence (KIP-595)
	MaxBytes    int32
}

// Aborted is one aborted transaction that overlaps what was fetched.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// Divergence says where the leader's history parts from ours: epoch Epoch ended at EndOffset.
type Divergence struct {
	Epoch     int32
	EndOffset int64
}

// FetchedPartition is the answer for one partition. Records aliases the buffer of the whole answer.
type FetchedPartition struct {
	estate.TopicPartition
	From          int64 // the offset that was asked for
	Err           error // a kerr error, nil if all is well
	HighWatermark int64
	LastStable    int64 // -1 when the broker does not tell
	LogStart      int64
	Aborted       []Aborted
	Diverging     *Divergence
	Records       []byte
}

// FetchAnswer is one answer to a fetch. Buffer holds the memory of all Records; the receiver releases it.
// In a session (KIP-227) partitions about which there is nothing new are not in it.
type FetchAnswer struct {
	Partitions []FetchedPartition
	Throttled  bool // the broker held the answer back because of a quota
	Buffer     *Buffer
}

// FetchLimits bound one fetch.
type FetchLimits struct {
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32 // of the whole answer; one batch larger than this still comes alone
	ReadCommitted bool
}

// maxFetchVersion caps Fetch: 13 and later name topics by id (KIP-516, Kafka 3.1), later ones add nothing
// that a client needs.
const (
	maxFetchVersion   = 16
	firstFetchWithIDs = 13
)

// Session fetches from one broker over one connection and tells it only what changed since the last fetch
// (KIP-227), so that following a thousand idle partitions costs next to nothing. Not safe for concurrent use.
type Session struct {
	conn  *Conn
	id    int32
	epoch int32 // 0: the next request opens a session with every partition
	want  map[estate.TopicPartition]FetchPosition
	dirty map[estate.TopicPartition]bool           // wanted, and not yet told to the broker as it is now
	gone  map[estate.TopicPartition]estate.TopicID // told to the broker earlier, no longer wanted
	byID  map[estate.TopicID]string
	useID bool
	noID  int // how many wanted partitions have no topic id
}

// NewSession prepares fetching over conn.
func NewSession(conn *Conn) *Session {
	return &Session{
		conn:  conn,
		want:  map[estate.TopicPartition]FetchPosition{},
		dirty: map[estate.TopicPartition]bool{},
		gone:  map[estate.TopicPartition]estate.TopicID{},
		byID:  map[estate.TopicID]string{},
	}
}

// Want adds a partition to the session, or moves it to another position.
func (s *Session) Want(p FetchPosition) {
	old, ok := s.want[p.TopicPartition]
	if ok && old == p {
		return
	}
	if ok && old.TopicID.IsZero() {
		s.noID--
	}
	if p.TopicID.IsZero() {
		s.noID++
	}
	s.want[p.TopicPartition] = p
	s.dirty[p.TopicPartition] = true
	s.byID[p.TopicID] = p.Topic
	delete(s.gone, p.TopicPartition)
}

// Drop takes a partition out of the session.
func (s *Session) Drop(tp estate.TopicPartition) {
	p, ok := s.want[tp]
	if !ok {
		return
	}
	if p.TopicID.IsZero() {
		s.noID--
	}
	delete(s.want, tp)
	delete(s.dirty, tp)
	s.gone[tp] = p.TopicID
}

// Rebind goes on over another connection, which opens a new session with everything wanted.
func (s *Session) Rebind(conn *Conn) {
	s.conn = conn
	s.reset()
}

// Wanted is the offset that a partition is wanted from; false: it is not wanted.
func (s *Session) Wanted(tp estate.TopicPartition) (int64, bool) {
	p, ok := s.want[tp]
	return p.Offset, ok
}

// Len is the number of partitions wanted.
func (s *Session) Len() int { return len(s.want) }

// Fetch asks for exactly the given partitions and waits for the answer, see Poll.
func (s *Session) Fetch(ctx context.Context, want []FetchPosition, lim FetchLimits) (*FetchAnswer, error) {
	keep := make(map[estate.TopicPartition]bool, len(want))
	for _, p := range want {
		keep[p.TopicPartition] = true
		s.Want(p)
	}
	for tp := range s.want {
		if !keep[tp] {
			s.Drop(tp)
		}
	}
	return s.Poll(ctx, lim)
}

// Poll fetches the wanted partitions and waits for the answer. The error may be a kerr error of the whole
// session; the session has then been reset and the next Poll opens a new one.
func (s *Session) Poll(ctx context.Context, lim FetchLimits) (*FetchAnswer, error) {
	req := s.request(lim)
	if err := s.conn.pickVersion(req); err != nil {
		return nil, err
	}
	if req.Version < minFetchVersion {
		return nil, fmt.Errorf("fetch from %s: the broker offers version %d, kferry needs %d (Kafka 2.8): %w", s.conn.addr, req.Version, minFetchVersion, kerr.UnsupportedVersion)
	}
	var buf *Buffer
	type answer struct {
		body []byte
		err  error
	}
	answered := make(chan answer, 1)
	err := s.conn.Start(req,
		func(n int) []byte { buf = NewBuffer(n); return buf.B },
		func(body []byte, err error) { answered <- answer{body, err} })
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answered:
		if a.err == nil {
			return s.take(a.body, req.Version, buf)
		}
		if buf != nil {
			buf.Release()
		}
		return nil, a.err
	case <-ctx.Done():
		s.conn.Close() // the answer may still be on its way; nobody will read it
		return nil, ctx.Err()
	}
}

func (s *Session) take(body []byte, version int16, buf *Buffer) (*FetchAnswer, error) {
	resp, err := readFetchAnswer(body, version, func(id estate.TopicID) string { return s.byID[id] })
	if err != nil {
		buf.Release()
		s.conn.Close() // what else comes from there is not to be trusted
		return nil, fmt.Errorf("read fetch answer of %s: %w", s.conn.addr, err)
	}
	if resp.err != nil {
		buf.Release()
		s.reset()
		return nil, resp.err
	}
	if s.epoch == 0 {
		s.id = resp.session
	}
	if s.id == 0 { // the broker keeps no session for us: every request carries everything
		s.reset()
	} else if s.epoch++; s.epoch <= 0 {
		s.epoch = 1
	}
	a := &FetchAnswer{Buffer: buf, Throttled: resp.throttled, Partitions: resp.parts}
	for i := range a.Partitions {
		f := &a.Partitions[i]
		f.From = -1 // not asked for
		if p, ok := s.want[f.TopicPartition]; ok {
			f.From = p.Offset
		}
		if f.Err == nil {
			f.Err = f.contradiction()
		}
	}
	return a, nil
}

// ErrContradiction says that what a broker tells of one partition cannot all be true. To go on from it would be to
// guess: a last stable offset that is made up becomes a gap that is filled, a log start becomes a deletion.
var ErrContradiction = errors.New("the broker contradicts itself")

// contradiction checks what holds on every broker: log start <= last stable offset <= high watermark, where a last
// stable offset is told at all.
func (f *FetchedPartition) contradiction() error {
	if f.HighWatermark < 0 || f.LogStart > f.HighWatermark || f.LastStable > f.HighWatermark {
		return fmt.Errorf("log start %d, last stable offset %d, high watermark %d: %w", f.LogStart, f.LastStable, f.HighWatermark, ErrContradiction)
	}
	return nil
}

// reset makes the next request open a new session with every wanted partition.
func (s *Session) reset() {
	s.id, s.epoch = 0, 0
	clear(s.gone)
	for tp := range s.want {
		s.dirty[tp] = true
	}
}

// request lists the partitions that are new or moved, and those to forget.
func (s *Session) request(lim FetchLimits) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = s.version()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = lim.MaxWaitMillis, lim.MinBytes, lim.MaxBytes
	if lim.ReadCommitted {
		req.IsolationLevel = 1
	}
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	add := newFetchTopics()
	for tp := range s.dirty {
		add.position(s.want[tp])
	}
	req.Topics = add.topics
	if s.epoch > 0 {
		for tp, id := range s.gone {
			f := kmsg.NewFetchRequestForgottenTopic()
			f.Topic, f.TopicID, f.Partitions = tp.Topic, id, []int32{tp.Partition}
			req.ForgottenTopics = append(req.ForgottenTopics, f)
		}
	}
	clear(s.dirty)
	clear(s.gone)
	return req
}

// version decides between topic ids and names. A session may not change its mind, so a change resets it.
func (s *Session) version() int16 {
	useID := s.noID == 0 && s.conn.MaxVersion(int16(kmsg.Fetch)) >= firstFetchWithIDs
	if useID != s.useID {
		s.reset()
		s.useID = useID
	}
	if useID {
		return maxFetchVersion
	}
	return firstFetchWithIDs - 1
}

// fetchTopics groups positions by topic in the order of their first appearance.
type fetchTopics struct {
	topics []kmsg.FetchRequestTopic
	index  map[string]int
}

func newFetchTopics() *fetchTopics { return &fetchTopics{index: map[string]int{}} }

func (f *fetchTopics) position(p FetchPosition) {
	i, ok := f.index[p.Topic]
	if !ok {
		i = len(f.topics)
		f.index[p.Topic] = i
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = p.Topic, p.TopicID
		f.topics = append(f.topics, t)
	}
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.CurrentLeaderEpoch = p.Partition, p.Offset, p.LeaderEpoch
	rp.LastFetchedEpoch, rp.PartitionMaxBytes = p.LastEpoch, p.MaxBytes
	f.topics[i].Partitions = append(f.topics[i].Partitions, rp)
}
