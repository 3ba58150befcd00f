// Package testbed runs real Apache Kafka clusters on loopback for tests and
// benchmarks: brokers as plain Java processes from jars that Maven fetches
// once, in KRaft combined mode for 3.9 and 4.3, with ZooKeeper for 2.8. It can
// stop, kill, pause and restart every broker, put a delaying proxy in front of
// it, judge a topic with the real Java client, and run MirrorMaker 2 from the
// same jars.
//
// It is not a part of the product: no package that is linked into the kferry
// binary may import it. It is not a production launcher either: clusters live
// on 127.0.0.1, keep their data in a temporary directory and die with the
// process that started them, even when that one is killed with SIGKILL.
//
// Java 17 (or newer) and Maven are needed. As root on Debian they are
// installed; elsewhere Start returns an error that says what to install.
// Nothing is ever skipped.
package testbed
