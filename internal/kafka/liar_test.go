package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kferry/kferry/internal/estate"
)

// liar is one broker that answers as a test tells it to, and otherwise as a broker without topics would.
type liar struct {
	host string
	port int32

	mu      sync.Mutex // guards the rest
	answers map[int16]func(kmsg.Request) any
	fetches []*kmsg.FetchRequest
}

// What an answer may be, besides a kmsg.Response.
type (
	rawBody  []byte   // sent behind a true header
	rawFrame []byte   // sent as it is, length and header included
	cut      []byte   // sent as it is, and the connection is closed
	hangUp   struct{} // the connection is closed
	mute     struct{} // nothing is sent
	twice    struct{ kmsg.Response }
)

func newLiar(t *testing.T) *liar {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.Atoi(port)
	l := &liar{host: host, port: int32(n), answers: map[int16]func(kmsg.Request) any{}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wg.Go(func() { l.serve(nc) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	l.on(kmsg.ApiVersions, func(kmsg.Request) any { return l.versions(nil) })
	l.on(kmsg.Metadata, func(kmsg.Request) any { return l.metadata() })
	return l
}

// on sets the answer to one kind of request.
func (l *liar) on(key kmsg.Key, answer func(kmsg.Request) any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[int16(key)] = answer
}

// versions offers what kmsg knows, changed by edit.
func (l *liar) versions(edit func(k *kmsg.ApiVersionsResponseApiKey)) *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	for key := range int16(kmsg.MaxKey + 1) {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = key, req.MaxVersion()
		if edit != nil {
			edit(&k)
		}
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}

// metadata says that there is one broker, this one, and the topics given.
func (l *liar) metadata(topics ...kmsg.MetadataResponseTopic) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = kmsg.StringPtr("liar")
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 1, l.host, l.port
	resp.Brokers = append(resp.Brokers, b)
	resp.Topics = topics
	return resp
}

// topicOf is a topic in the metadata with the partition ids and leaders given, in turns.
func topicOf(name string, idsAndLeaders ...int32) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID = kmsg.StringPtr(name), [16]byte{1}
	for i := 0; i < len(idsAndLeaders); i += 2 {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader = idsAndLeaders[i], idsAndLeaders[i+1]
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

func (l *liar) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		req, id, err := parseRequest(frame)
		if err != nil {
			return
		}
		l.mu.Lock()
		answer := l.answers[req.Key()]
		if f, ok := req.(*kmsg.FetchRequest); ok {
			l.fetches = append(l.fetches, f)
		}
		l.mu.Unlock()
		if answer == nil {
			return
		}
		if !say(nc, req, id, answer(req)) {
			return
		}
	}
}

// say sends one answer; false: the connection is to be closed.
func say(nc net.Conn, req kmsg.Request, id int32, answer any) bool {
	head := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(id))
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		head = append(head, 0)
	}
	switch a := answer.(type) {
	case twice:
		first := say(nc, req, id, a.Response)
		return say(nc, req, id, a.Response) && first
	case kmsg.Response:
		a.SetVersion(req.GetVersion())
		head = a.AppendTo(head)
	case rawBody:
		head = append(head, a...)
	case rawFrame:
		_, err := nc.Write(a)
		return err == nil
	case cut:
		nc.Write(a)
		return false
	case mute:
		return true
	default:
		return false
	}
	binary.BigEndian.PutUint32(head, uint32(len(head)-4))
	_, err := nc.Write(head)
	return err == nil
}

func parseRequest(frame []byte) (kmsg.Request, int32, error) {
	if len(frame) < 10 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	be := binary.BigEndian
	req := kmsg.RequestForKey(int16(be.Uint16(frame)))
	if req == nil {
		return nil, 0, errors.New("no such key")
	}
	req.SetVersion(int16(be.Uint16(frame[2:])))
	id := int32(be.Uint32(frame[4:]))
	body := frame[10:]
	if n := int16(be.Uint16(frame[8:])); n > 0 {
		body = body[n:]
	}
	if req.IsFlexible() {
		body = body[1:] // no tags
	}
	return req, id, req.ReadFrom(body)
}

// open reaches the liar as a cluster.
func (l *liar) open(t *testing.T) (*Cluster, error) {
	t.Helper()
	c, err := Open(t.Context(), Connection{Alias: "odd", Bootstrap: []string{net.JoinHostPort(l.host, strconv.Itoa(int(l.port)))}, DialTimeout: 3 * time.Second})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

var orders = estate.TopicPartition{Topic: "orders"}

// fetch asks the liar for orders-0 from offset 40 on, and gives the answer of its choice.
func (l *liar) fetch(t *testing.T, id estate.TopicID, answer func(*kmsg.FetchRequest) any) (*FetchAnswer, *Session, error) {
	t.Helper()
	l.on(kmsg.Fetch, func(req kmsg.Request) any { return answer(req.(*kmsg.FetchRequest)) })
	c, err := l.open(t)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s := NewSession(conn)
	s.Want(FetchPosition{TopicPartition: orders, TopicID: id, Offset: 40, LeaderEpoch: -1, LastEpoch: -1, MaxBytes: 1 << 20})
	ans, err := poll(t, s)
	return ans, s, err
}

func poll(t *testing.T, s *Session) (*FetchAnswer, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	return s.Poll(ctx, FetchLimits{MaxWaitMillis: 10, MinBytes: 1, MaxBytes: 1 << 20, ReadCommitted: true})
}

// told is a fetch answer about orders-0 and, if edit adds them, others.
func told(edit func(*kmsg.FetchResponse, *kmsg.FetchResponseTopicPartition)) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.SessionID = 77
	t := kmsg.NewFetchResponseTopic()
	t.Topic, t.TopicID = "orders", [16]byte{1}
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = 100, 100, 0
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	if edit != nil {
		edit(resp, &resp.Topics[0].Partitions[0])
	}
	return resp
}
