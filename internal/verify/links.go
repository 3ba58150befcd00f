package verify

import (
	"context"
	"sync"

	"github.com/kferry/kferry/internal/kafka"
)

// links are the connections of one goroutine to the brokers of one cluster.
type links struct {
	cluster *kafka.Cluster
	pool    *Pool // may be nil
	byNode  map[int32]*link
}

// link is a connection with its fetch session (KIP-227).
type link struct {
	conn    *kafka.Conn
	session *kafka.Session
}

func newLinks(c *kafka.Cluster, pool *Pool) *links {
	return &links{cluster: c, pool: pool, byNode: map[int32]*link{}}
}

// to is a connection to a node, dialled if there is none.
func (l *links) to(ctx context.Context, node int32) (*link, error) {
	if k := l.byNode[node]; k != nil {
		if k.conn.Err() == nil {
			return k, nil
		}
		l.drop(node)
	}
	k := l.pool.take(l.cluster, node)
	if k == nil {
		conn, err := l.cluster.Dial(ctx, node)
		if err != nil {
			return nil, err
		}
		k = &link{conn, kafka.NewSession(conn)}
	}
	l.byNode[node] = k
	return k, nil
}

// drop closes the connection to a node.
func (l *links) drop(node int32) {
	if k := l.byNode[node]; k != nil {
		k.conn.Close()
		delete(l.byNode, node)
	}
}

// close gives the connections to the pool, or ends them.
func (l *links) close() {
	for node, k := range l.byNode {
		if !l.pool.put(l.cluster, node, k) {
			k.conn.Close()
		}
	}
	clear(l.byNode)
}

// Pool keeps connections of one CompareRange for the next, so that comparing the ends of a thousand partitions
// does not take two thousand handshakes. The zero value is ready; all methods may be called from any goroutine.
type Pool struct {
	mu     sync.Mutex
	idle   map[poolKey][]*link
	closed bool
}

type poolKey struct {
	cluster *kafka.Cluster
	node    int32
}

// Close ends all idle connections; those in use end when their CompareRange does.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, idle := range p.idle {
		for _, k := range idle {
			k.conn.Close()
		}
	}
	p.idle = nil
}

func (p *Pool) take(c *kafka.Cluster, node int32) *link {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := poolKey{c, node}
	for idle := p.idle[key]; len(idle) > 0; idle = p.idle[key] {
		k := idle[len(idle)-1]
		p.idle[key] = idle[:len(idle)-1]
		if k.conn.Err() == nil {
			return k
		}
	}
	return nil
}

func (p *Pool) put(c *kafka.Cluster, node int32, k *link) bool {
	if p == nil || k.conn.Err() != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.idle == nil {
		p.idle = map[poolKey][]*link{}
	}
	key := poolKey{c, node}
	p.idle[key] = append(p.idle[key], k)
	return true
}
