// Package demo shows kferry at work without any installation: two embedded Kafka-protocol clusters on loopback,
// a source with a hard history and live clients, and the real engine between them.
//
// Nothing of kferry is simulated: topics are carried by replicate.Run over sockets, and verify.Run compares
// every record at the end. The clusters are franz-go's kfake. It is kinder than a broker in places (it does not
// fence coordinators, lets no producer state expire and does not unpack filler batches), so a demo that passes
// shows what kferry does and proves nothing about real brokers; the tests on real brokers do that.
//
// franz-go is imported here for the clusters and for the clients that make traffic, for nothing else.
package demo
