package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Trouble sorts a broker's refusal by what can be done about it.
type Trouble int

const (
	// NoTrouble: no error.
	NoTrouble Trouble = iota
	// Passing: another leader, no leader, not enough replicas, a time-out, a lost connection. Look again.
	Passing
	// OutOfRange: the offset is not in the log.
	OutOfRange
	// OtherTopic: the topic has another id than the one asked for, or is gone.
	OtherTopic
	// Denied: the principal may not do this.
	Denied
	// BadBatch: the broker will never take this batch.
	BadBatch
	// Damaged: the batch does not match its checksum.
	Damaged
	// Sequence: the producer id's state at the broker is not what the sender believed.
	Sequence
	// Unsupported: the broker does not know the request, or not in this version.
	Unsupported
	// OtherTrouble: anything else.
	OtherTrouble
)

var troubles = map[Trouble][]error{
	OutOfRange:  {kerr.OffsetOutOfRange},
	OtherTopic:  {kerr.UnknownTopicID, kerr.InconsistentTopicID},
	Denied:      {kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed},
	BadBatch:    {kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.UnsupportedCompressionType, kerr.UnsupportedForMessageFormat, kerr.PolicyViolation, kerr.InvalidRequiredAcks},
	Damaged:     {kerr.CorruptMessage},
	Sequence:    {kerr.OutOfOrderSequenceNumber, kerr.DuplicateSequenceNumber, kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.UnknownProducerID, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.TransactionCoordinatorFenced, kerr.TransactionAbortable},
	Unsupported: {kerr.UnsupportedVersion},
}

// TroubleOf sorts an error of this package.
func TroubleOf(err error) Trouble {
	if err == nil {
		return NoTrouble
	}
	for t, list := range troubles {
		for _, e := range list {
			if errors.Is(err, e) {
				return t
			}
		}
	}
	var ke *kerr.Error
	if errors.As(err, &ke) && !ke.Retriable {
		return OtherTrouble
	}
	return Passing // retriable by Kafka's own word, or the connection's
}

// IsFetchSession says whether the broker forgot or refused a fetch session; the next poll opens a new one.
func IsFetchSession(err error) bool {
	return errors.Is(err, kerr.FetchSessionIDNotFound) || errors.Is(err, kerr.InvalidFetchSessionEpoch) ||
		errors.Is(err, kerr.FetchSessionTopicIDError)
}
