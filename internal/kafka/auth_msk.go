package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/twmb/franz-go/pkg/sasl"
	saslaws "github.com/twmb/franz-go/pkg/sasl/aws"
)

// MSKIAM says whose AWS credentials sign the AWS_MSK_IAM exchange. The zero value is the AWS default chain:
// environment, shared files, web identity (EKS), container and instance roles.
type MSKIAM struct {
	// Profile names a profile of the shared AWS files.
	Profile string
	// RoleARN is assumed with the chain's credentials.
	RoleARN string
	// RoleSessionName shows up in CloudTrail; empty means "kferry".
	RoleSessionName string
	// RoleExternalID is the condition that a role of another account may ask for.
	RoleExternalID string
	// STSRegion is where the role is assumed; empty means the profile's region, else the global endpoint.
	STSRegion string
}

func (m *MSKIAM) validate() error {
	if m.RoleARN == "" && (m.RoleSessionName != "" || m.RoleExternalID != "") {
		return errors.New("a role session name or external id needs a role ARN")
	}
	if m.RoleARN != "" && !strings.HasPrefix(m.RoleARN, "arn:") {
		return fmt.Errorf("role %q is not an ARN: write for example arn:aws:iam::123456789012:role/kferry", m.RoleARN)
	}
	return nil
}

// mskMechanism reads the AWS configuration now and asks for credentials at each authentication; the SDK
// keeps them until shortly before they expire.
func (s *SASL) mskMechanism(ctx context.Context) (sasl.Mechanism, error) {
	m := s.MSKIAM
	if m == nil {
		m = &MSKIAM{}
	}
	provider, err := m.provider(ctx)
	if err != nil {
		return nil, err
	}
	return mskIAM{saslaws.ManagedStreamingIAM(func(ctx context.Context) (saslaws.Auth, error) {
		c, err := provider.Retrieve(ctx)
		if err != nil {
			return saslaws.Auth{}, fmt.Errorf("get AWS credentials%s: %s: check AWS_PROFILE, the environment or the role of this host", m.whose(), oneLine(err.Error()))
		}
		return saslaws.Auth{
			AccessKey: c.AccessKeyID, SecretKey: c.SecretAccessKey, SessionToken: c.SessionToken,
			UserAgent: "kferry",
		}, nil
	})}, nil
}

func (m *MSKIAM) whose() string {
	var s string
	if m.Profile != "" {
		s += " of profile " + m.Profile
	}
	if m.RoleARN != "" {
		s += " for role " + m.RoleARN
	}
	return s
}

func (m *MSKIAM) provider(ctx context.Context) (aws.CredentialsProvider, error) {
	var opts []func(*awsconfig.LoadOptions) error
	if m.Profile != "" {
		opts = append(opts, awsconfig.WithSharedConfigProfile(m.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration%s: %s: check ~/.aws/config and AWS_PROFILE", m.whose(), oneLine(err.Error()))
	}
	if m.RoleARN == "" {
		return cfg.Credentials, nil
	}
	switch {
	case m.STSRegion != "":
		cfg.Region = m.STSRegion
	case cfg.Region == "":
		cfg.Region = "aws-global"
	}
	role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), m.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "kferry"
		if m.RoleSessionName != "" {
			o.RoleSessionName = m.RoleSessionName
		}
		if m.RoleExternalID != "" {
			o.ExternalID = aws.String(m.RoleExternalID)
		}
	})
	return aws.NewCredentialsCache(role), nil
}

// mskIAM explains the one thing that can go wrong before the wire: the region to sign for is in the
// broker's name, and a broker behind another name needs AWS_REGION.
type mskIAM struct{ sasl.Mechanism }

func (m mskIAM) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, msg, err := m.Mechanism.Authenticate(ctx, host)
	if err != nil && strings.Contains(err.Error(), "cannot determine the region") {
		name, _, _ := net.SplitHostPort(host)
		return nil, nil, fmt.Errorf("sign for %s: its name does not tell the AWS region: set AWS_REGION", name)
	}
	return s, msg, err
}
