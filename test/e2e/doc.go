// Package e2e tests the whole of kferry from outside: the binary as it is shipped, between real Kafka brokers of
// three releases, with hard histories (package history), judged by a reader that shares no code with kferry.
//
// Every test makes topics, groups and a flow of its own, so that one cluster of each release serves them all.
// What takes longer than the everyday run may is behind KFERRY_LONG=1. Java and Maven are needed; nothing is
// skipped for want of them.
package e2e
