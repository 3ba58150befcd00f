package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// What a cluster may answer about one topic or group, for errors.Is. They are Kafka's own errors; packages
// that decide what to do about them need not know the library that carries them.
var (
	ErrUnknownTopic error = kerr.UnknownTopicOrPartition
	ErrTopicDenied  error = kerr.TopicAuthorizationFailed
	ErrTopicExists  error = kerr.TopicAlreadyExists
	// ErrInvalidPartitions: as many partitions as were asked for, or more, are there already.
	ErrInvalidPartitions error = kerr.InvalidPartitions
	ErrInvalidConfig     error = kerr.InvalidConfig
	ErrPolicyViolation   error = kerr.PolicyViolation
	ErrUnstableOffset    error = kerr.UnstableOffsetCommit
	ErrUnknownMember     error = kerr.UnknownMemberID
	ErrStaleMemberEpoch  error = kerr.StaleMemberEpoch
	ErrGroupNotFound     error = kerr.GroupIDNotFound
)

// DeniedError says that the principal may not do something, and names the grant that would allow it.
type DeniedError struct {
	Operation    string // as in an ACL: Create, Alter, AlterConfigs, DescribeConfigs, Read, Write, Describe, Delete
	ResourceType string // Topic, Group or Cluster
	Resource     string // the name; empty for Cluster
	Cluster      string // the cluster's alias
	err          error
}

// Error names the missing grant in words.
func (e *DeniedError) Error() string {
	on := e.ResourceType
	if e.Resource != "" {
		on += " " + e.Resource
	}
	return fmt.Sprintf("cluster %s denies %s on %s: grant %s on %s to kferry's principal there",
		e.Cluster, e.Operation, on, e.Operation, on)
}

// Unwrap is Kafka's own error.
func (e *DeniedError) Unwrap() error { return e.err }

// IsDenied says whether err is a missing permission.
func IsDenied(err error) bool {
	var denied *DeniedError
	return errors.As(err, &denied)
}

// IsRefusal says whether a cluster understood a request and will not do it however often it is asked: a
// permission, a policy, a value. Everything else may pass with time.
func IsRefusal(err error) bool {
	var k *kerr.Error
	return IsDenied(err) || (errors.As(err, &k) && !k.Retriable)
}

// refused turns an answer's error code into an error, nil for success. The grant is what the operation needs.
func (c *Cluster) refused(code int16, message *string, g grant) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	switch err {
	case kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed:
		return &DeniedError{g.operation, g.resourceType, g.resource, c.alias, err}
	case kerr.ClusterAuthorizationFailed:
		return &DeniedError{g.operation, "Cluster", "", c.alias, err}
	}
	if message != nil && *message != "" {
		return fmt.Errorf("%s: %w", cutWords(*message), err)
	}
	return err
}

// grant is what an ACL would have to allow.
type grant struct{ operation, resourceType, resource string }
