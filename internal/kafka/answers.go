package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kferry/kferry/internal/estate"
)

// fetchAnswer is an answer to a fetch as it stands on the wire.
type fetchAnswer struct {
	throttled bool
	err       error // of the whole answer
	session   int32
	parts     []FetchedPartition // From is not yet set
}

// minFetchVersion is the first one with sessions (KIP-227, Kafka 1.1).
const minFetchVersion = 7

// readFetchAnswer reads versions 7 to 17. nameOf gives the name of a topic id, "" if it is not known. Records alias
// body.
func readFetchAnswer(body []byte, version int16, nameOf func(estate.TopicID) string) (fetchAnswer, error) {
	if version < minFetchVersion {
		return fetchAnswer{}, fmt.Errorf("fetch version %d: %w", version, kerr.UnsupportedVersion)
	}
	r := wireReader{b: body, flexible: version >= 12}
	var a fetchAnswer
	a.throttled = r.int32() > 0
	a.err = kerr.ErrorForCode(r.int16())
	a.session = r.int32()
	for range r.array(3) {
		var topic string
		if version >= firstFetchWithIDs {
			topic = nameOf(r.uuid())
		} else {
			topic = r.string()
		}
		for range r.array(37) {
			f := readFetched(&r, version)
			f.Topic = topic
			a.parts = append(a.parts, f)
			if r.bad {
				break
			}
		}
		r.tags(nil)
		if r.bad {
			break
		}
	}
	r.endpoints()
	return a, r.finish()
}

func readFetched(r *wireReader, version int16) FetchedPartition {
	var f FetchedPartition
	f.Partition = r.int32()
	f.Err = kerr.ErrorForCode(r.int16())
	f.HighWatermark, f.LastStable, f.LogStart = r.int64(), r.int64(), r.int64()
	if n := r.array(16); n > 0 {
		f.Aborted = make([]Aborted, n)
		for i := range f.Aborted {
			f.Aborted[i] = Aborted{ProducerID: r.int64(), FirstOffset: r.int64()}
			r.tags(nil)
		}
	}
	if version >= 11 {
		r.int32() // a replica to read from instead (KIP-392): never asked for
	}
	f.Records = r.bytes()
	r.tags(func(tag int, value []byte) {
		r.inside(value, func(in *wireReader) {
			switch tag {
			case 0: // diverging epoch (KIP-595)
				if d := (Divergence{in.int32(), in.int64()}); d.EndOffset >= 0 {
					f.Diverging = &d
				} else {
					f.Diverging = nil
				}
			case 1:
				in.leader()
			case 2: // a snapshot: never of a partition that is copied
				in.int64()
				in.int32()
			default:
				in.rest()
			}
		})
	})
	return f
}

// readProduced reads an answer of Produce 9 to 12.
func readProduced(body []byte) ([]Produced, error) {
	r := wireReader{b: body, flexible: true}
	var out []Produced
	for range r.array(3) {
		topic := r.string()
		for range r.array(33) {
			p := Produced{TopicPartition: estate.TopicPartition{Topic: topic, Partition: r.int32()}}
			p.Err = kerr.ErrorForCode(r.int16())
			p.Base = r.int64()
			r.int64() // the time of the append, where the broker sets it
			p.LogStart = r.int64()
			readRefusedRecords(&r, &p)
			out = append(out, p)
			if r.bad {
				break
			}
		}
		r.tags(nil)
		if r.bad {
			break
		}
	}
	r.int32() // throttle time: the broker mutes the connection by itself
	r.endpoints()
	return out, r.finish()
}

// maxMessageRecords is how many single records of a refused batch are told about: a broker may list them all.
const maxMessageRecords = 3

// readRefusedRecords puts the broker's words about a batch, and about single records in it, into p.Message.
func readRefusedRecords(r *wireReader, p *Produced) {
	n := r.array(6)
	var words string
	for i := range n {
		at, text := r.int32(), r.nullable()
		r.tags(nil)
		if r.bad {
			return
		}
		if i < maxMessageRecords && text != "" {
			words += fmt.Sprintf(" [record %d: %s]", at, cutWords(text))
		}
	}
	p.Message = cutWords(r.nullable()) + words
	if n > maxMessageRecords && words != "" {
		p.Message += fmt.Sprintf(" [%d records in all]", n)
	}
	r.tags(func(tag int, value []byte) {
		r.inside(value, func(in *wireReader) {
			if tag == 0 {
				in.leader()
			} else {
				in.rest()
			}
		})
	})
}

// readMarked reads an answer of WriteTxnMarkers 0 and 1 (flexible from 1 on). Of several refusals of one partition
// the last is told.
func readMarked(body []byte, version int16) (map[estate.TopicPartition]error, error) {
	r := wireReader{b: body, flexible: version >= 1}
	out := map[estate.TopicPartition]error{}
	for range r.array(9) {
		r.int64() // producer id: ours
		for range r.array(3) {
			topic := r.string()
			for range r.array(6) {
				tp := estate.TopicPartition{Topic: topic, Partition: r.int32()}
				err := kerr.ErrorForCode(r.int16())
				r.tags(nil)
				if r.bad {
					break
				}
				if err != nil || out[tp] == nil {
					out[tp] = err
				}
			}
			r.tags(nil)
			if r.bad {
				break
			}
		}
		r.tags(nil)
		if r.bad {
			break
		}
	}
	r.tags(nil)
	return out, r.finish()
}

// leader steps over the leader's id and epoch (KIP-951): the metadata tells them.
func (r *wireReader) leader() {
	r.int32()
	r.int32()
}

// rest steps over a tag that later brokers may send.
func (r *wireReader) rest() { r.b, r.flexible = nil, false }

// endpoints steps over the tags at the end of an answer, addresses of new leaders (KIP-951) among them.
func (r *wireReader) endpoints() {
	r.tags(func(tag int, value []byte) {
		r.inside(value, func(in *wireReader) {
			if tag != 0 {
				in.rest()
				return
			}
			for range in.array(11) {
				in.int32()
				_ = in.string()
				in.int32()
				_ = in.nullable()
				in.tags(nil)
				if in.bad {
					break
				}
			}
		})
	})
}
