package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kferry/kferry/internal/kafka"
	"github.com/kferry/kferry/internal/testbed"
)

// mskCase is one signature that both libraries make.
type mskCase struct {
	host, token string
	region      string // what AWS_REGION says
}

var mskCases = []mskCase{
	{host: "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com"},
	{host: "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com", token: "IQoJb3JpZ2luX2VjEJr//////////wEaCXVz+LWVhc3Q=="},
	{host: "boot-abc.c3.kafka-serverless.eu-central-1.amazonaws.com"},
	{host: "b-2.demo.abc123.c4.kafka.cn-north-1.amazonaws.com.cn"},
	{host: "b-2.demo.abc123.c4.kafka.us-gov-west-1.amazonaws.com"},
	{host: "b-1.scram.demo.abc123.c2.kafka.ap-southeast-2.vpce.amazonaws.com"},
	{host: "kafka.example.com", region: "eu-north-1"},
	{host: "kafka-us-west-2.example.com", region: "eu-north-1"},
}

const (
	exampleKeyID  = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// TestMSKIAMEqualsJavaLibrary has Amazon's Java library sign each case, then signs the same at the same instant:
// inside a synctest bubble the clock is set to the one that the Java side used.
func TestMSKIAMEqualsJavaLibrary(t *testing.T) {
	java := javaSigned(t, mskCases)
	t.Setenv("AWS_ACCESS_KEY_ID", exampleKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", exampleSecret)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for i, c := range mskCases {
		t.Setenv("AWS_SESSION_TOKEN", c.token)
		t.Setenv("AWS_REGION", c.region)
		want := java[i]
		at, err := time.Parse("20060102T150405Z", want["x-amz-date"])
		if err != nil {
			t.Fatalf("%s: Java's X-Amz-Date: %v", c.host, err)
		}
		var got map[string]string
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(at))
			got = signed(t, c.host)
		})
		for _, m := range []map[string]string{got, want} {
			if m["user-agent"] == "" {
				t.Errorf("%s: no user-agent in %v", c.host, m)
			}
			delete(m, "user-agent") // each names its own library
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: payload differs from Java's (-java +ours):\n%s", c.host, d)
		}
	}
}

func signed(t *testing.T, host string) map[string]string {
	t.Helper()
	c := kafka.Connection{
		Bootstrap: []string{host + ":9098"},
		Security:  kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: kafka.MechanismMSKIAM}},
	}
	a, err := c.Auth(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	session, msg, err := a.Mechanism.Authenticate(context.Background(), host+":9098")
	if err != nil {
		t.Fatal(err)
	}
	if done, _, err := session.Challenge([]byte(`{"version":"2020_10_22","request-id":"x"}`)); !done || err != nil {
		t.Errorf("after the broker's answer: done %v, error %v", done, err)
	}
	var m map[string]string
	if err := json.Unmarshal(msg, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// javaSigned runs the Java library on all cases with Java's source launcher.
func javaSigned(t *testing.T, cases []mskCase) []map[string]string {
	t.Helper()
	args := []string{"-XX:TieredStopAtLevel=1", "-cp", mskClassPath(t), "testdata/MSKSign.java"}
	for _, c := range cases {
		args = append(args, c.host, c.token, c.region)
	}
	cmd := exec.CommandContext(t.Context(), "java", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("sign with the Java library: %v: %s", err, stderr.String())
	}
	var out []map[string]string
	for line := range strings.Lines(string(raw)) {
		var m map[string]string
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("sign with the Java library: %v: %s", err, line)
		}
		out = append(out, m)
	}
	if len(out) != len(cases) {
		t.Fatalf("the Java library signed %d of %d cases: %s", len(out), len(cases), stderr.String())
	}
	return out
}

// mskClassPath fetches Amazon's library through Maven, once per machine, beside the jars of the test bed, whose
// Kafka client it needs.
func mskClassPath(t *testing.T) string {
	t.Helper()
	clients, err := testbed.Jars(t.Context(), testbed.V43) // installs Java and Maven where it may, or says what to install
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(clients), "aws-msk-iam-auth-2.3.9")
	if _, err := os.Stat(dir); err != nil {
		tmp, err := os.MkdirTemp(filepath.Dir(clients), "fetch-msk-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(tmp)
		pom, err := filepath.Abs("testdata/msk.pom.xml")
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
			"-DoutputDirectory="+filepath.Join(tmp, "lib"), "-DincludeScope=runtime").CombinedOutput()
		if err != nil {
			t.Fatalf("fetch software.amazon.msk:aws-msk-iam-auth:2.3.9 through Maven: %v: %s", err, out)
		}
		if err := os.Rename(filepath.Join(tmp, "lib"), dir); err != nil && !os.IsExist(err) {
			if _, statErr := os.Stat(dir); statErr != nil { // another process was faster otherwise
				t.Fatal(err)
			}
		}
	}
	return fmt.Sprintf("%s/*%c%s/*", dir, filepath.ListSeparator, clients)
}

func TestMSKIAMSaysWhatIsMissing(t *testing.T) {
	for _, k := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", exampleKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", exampleSecret)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	conn := func(m kafka.MSKIAM) kafka.Connection {
		return kafka.Connection{Alias: "msk", Bootstrap: []string{"k.example.com:9098"},
			Security: kafka.Security{TLS: &kafka.TLS{}, SASL: &kafka.SASL{Mechanism: kafka.MechanismMSKIAM, MSKIAM: &m}}}
	}
	c := conn(kafka.MSKIAM{})
	a, err := c.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = a.Mechanism.Authenticate(t.Context(), "k.example.com:9098")
	if err == nil || !strings.Contains(err.Error(), "does not tell the AWS region") {
		t.Errorf("a host without region: %v", err)
	}
	c = conn(kafka.MSKIAM{Profile: "nobody"})
	if _, err = c.Auth(t.Context()); err == nil || !strings.Contains(err.Error(), "profile nobody") {
		t.Errorf("an unknown profile: %v", err)
	}
	c = conn(kafka.MSKIAM{RoleARN: "kferry"})
	if _, err = c.Auth(t.Context()); err == nil || !strings.Contains(err.Error(), "is not an ARN") {
		t.Errorf("a role that is no ARN: %v", err)
	}
}
