package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/twmb/franz-go/pkg/sasl"
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
	// Region is the cluster's, for brokers whose names do not tell it; empty means AWS_REGION or the profile's.
	Region string
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

// whose names the identity in messages.
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

// config reads the AWS environment and shared files and puts the role, if any, over their credentials.
func (m *MSKIAM) config(ctx context.Context) (aws.Config, error) {
	var opts []func(*awsconfig.LoadOptions) error
	if m.Profile != "" {
		opts = append(opts, awsconfig.WithSharedConfigProfile(m.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, fmt.Errorf("read the AWS configuration%s: %s: check ~/.aws/config and AWS_PROFILE", m.whose(), oneLine(err.Error()))
	}
	if m.RoleARN == "" {
		return cfg, nil
	}
	region := cfg.Region
	switch {
	case m.STSRegion != "":
		region = m.STSRegion
	case region == "":
		region = "aws-global"
	}
	client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.Region = region })
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, m.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "kferry"
		if m.RoleSessionName != "" {
			o.RoleSessionName = m.RoleSessionName
		}
		if m.RoleExternalID != "" {
			o.ExternalID = aws.String(m.RoleExternalID)
		}
	}))
	return cfg, nil
}

// mskIAM is the mechanism. It asks for credentials at each authentication; the SDK keeps them until shortly
// before they expire. franz-go's own AWS_MSK_IAM signs for 5 minutes and takes the region from the last part
// of an AWS name or from AWS_REGION only; this one equals Amazon's Java library, which signs for 15 minutes
// (a clock may then be further off) and also knows the names of VPC endpoints and regions in profiles.
type mskIAM struct {
	settings MSKIAM
	aws      aws.Config
}

// mskMechanism reads the AWS configuration now; credentials are fetched later.
func (s *SASL) mskMechanism(ctx context.Context) (sasl.Mechanism, error) {
	m := mskIAM{}
	if s.MSKIAM != nil {
		m.settings = *s.MSKIAM
	}
	var err error
	m.aws, err = m.settings.config(ctx)
	return m, err
}

// Name implements sasl.Mechanism.
func (mskIAM) Name() string { return MechanismMSKIAM }

// Authenticate implements sasl.Mechanism: the first and only message is a request to the broker's host,
// presigned with Signature Version 4 and written as JSON.
func (m mskIAM) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return nil, nil, fmt.Errorf("sign for %s: %w", host, err)
	}
	region, err := m.region(name)
	if err != nil {
		return nil, nil, err
	}
	creds, err := m.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("get AWS credentials%s: %s: check AWS_PROFILE, the environment or the role of this host", m.settings.whose(), oneLine(err.Error()))
	}
	msg, err := mskPayload(ctx, creds, name, region, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("sign for %s: %w", name, err)
	}
	return mskSession{}, msg, nil
}

// mskSession expects one answer, JSON with a request id.
type mskSession struct{}

// Challenge implements sasl.Session.
func (mskSession) Challenge(resp []byte) (bool, []byte, error) {
	if len(resp) == 0 {
		return false, nil, errors.New("the broker answered AWS_MSK_IAM with nothing")
	}
	return true, nil, nil
}

const (
	mskExpiry  = "900" // seconds for which the broker accepts the signature
	mskVersion = "2020_10_22"
	// emptyHash is the SHA-256 of an empty body.
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// mskPayload signs GET /?Action=kafka-cluster:Connect and writes the query as JSON with lower case keys.
func mskPayload(ctx context.Context, creds aws.Credentials, host, region string, now time.Time) ([]byte, error) {
	q := url.Values{"Action": {"kafka-cluster:Connect"}, "X-Amz-Expires": {mskExpiry}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, creds, req, emptyHash, "kafka-cluster", region, now.UTC())
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(signed)
	if err != nil {
		return nil, errors.New("the signer gave no URL")
	}
	msg := map[string]string{"version": mskVersion, "host": host, "user-agent": "kferry"}
	for k, v := range u.Query() {
		msg[strings.ToLower(k)] = v[0]
	}
	return json.Marshal(msg)
}

// awsRegion is a region's id anywhere in a host name, as in kafka.us-east-1.amazonaws.com or
// kafka.eu-west-1.vpce.amazonaws.com.
var awsRegion = regexp.MustCompile(`(?:^|[.-])((?:eusc-de|(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-gov|-iso[a-z]?)?)-(?:north|south|east|west|central)(?:east|west)?-[0-9]{1,2})(?:[.-]|$)`)

// region is what the signature is for.
func (m mskIAM) region(host string) (string, error) {
	if m.settings.Region != "" {
		return m.settings.Region, nil
	}
	// The last id counts: what stands left of the AWS part is the user's choice.
	if all := awsRegion.FindAllStringSubmatch(strings.ToLower(host), -1); len(all) > 0 {
		return all[len(all)-1][1], nil
	}
	if m.aws.Region != "" {
		return m.aws.Region, nil
	}
	return "", fmt.Errorf("sign for %s: its name does not tell the AWS region: set region in auth.mskIAM, or AWS_REGION", host)
}
