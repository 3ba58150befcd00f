package testbed

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// Options says what cluster to start. The zero value of every field but
// Version means its default.
type Options struct {
	Version Version // which release; required

	// Brokers is 1 (default) or more. In KRaft every broker is a controller as
	// well, so two brokers are an unlucky number: none may fail.
	Brokers int
	// HeapMB is the maximum Java heap of each broker in MiB; default 512.
	HeapMB int
	// Benchmark runs the brokers as production does: full JIT and G1 instead
	// of the settings that start quickest.
	Benchmark bool
	// Config holds server.properties lines that are added or override the test
	// bed's own.
	Config map[string]string
	// Security says which client listeners there are and who may do what; the
	// zero value is one PLAINTEXT listener and no authorizer.
	Security Security
	// Advertise, when set, maps the address that a broker's client listener has
	// on loopback to the one that clients shall be told, such as a proxy's. It
	// is called once per broker and client listener before the broker starts.
	Advertise func(broker int, addr string) string
	// AdvertiseInternal does the same for the listener on which the brokers
	// speak with each other: followers fetch and coordinators write transaction
	// markers through what it returns. Cluster.Internal remains the way around it.
	AdvertiseInternal func(broker int, addr string) string
	// DiskMB, when set, gives each broker's log directory a file system of its
	// own (tmpfs) of that many MiB, so that it can be filled. That needs the
	// permission to mount; Start returns an error that says so where it is missing.
	DiskMB int
	// DataDir keeps data and logs and is left in place on Close. By default a
	// temporary directory is made and removed on Close.
	DataDir string
	// ClusterID is the id of a new cluster, 22 characters of URL-safe base64;
	// default random. It is used by KRaft clusters only: 2.8 makes its own.
	ClusterID string
	// Port, when set, is the port of broker 0's first client listener; broker i
	// takes Port+i. By default free ports are chosen.
	Port int
}

func (o Options) withDefaults() (Options, error) {
	if err := o.Version.check(); err != nil {
		return o, err
	}
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if o.Brokers < 0 || o.HeapMB < 0 || o.DiskMB < 0 {
		return o, fmt.Errorf("brokers %d, heap %d MB, disk %d MB: must not be negative", o.Brokers, o.HeapMB, o.DiskMB)
	}
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	if o.ClusterID == "" {
		o.ClusterID = randomID()
	}
	security, err := o.Security.withDefaults()
	o.Security = security
	return o, err
}

// randomID makes an id in the form that Kafka prints: 16 random bytes in
// base64 for URLs, without padding. Kafka's tools would take one that begins
// with a dash for a flag.
func randomID() string {
	for {
		var b [16]byte
		rand.Read(b[:])
		if id := base64.RawURLEncoding.EncodeToString(b[:]); !strings.HasPrefix(id, "-") {
			return id
		}
	}
}

// javaFlags are the flags of a broker's or MirrorMaker's virtual machine. For
// tests the quick compiler and the serial collector halve the start.
func javaFlags(heapMB int, benchmark bool) []string {
	flags := []string{
		fmt.Sprintf("-Xmx%dm", heapMB),
		"-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dorg.slf4j.simpleLogger.showThreadName=false",
	}
	if benchmark {
		return append(flags, fmt.Sprintf("-Xms%dm", heapMB),
			"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
	}
	return append(flags, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
}
