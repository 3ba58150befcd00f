// Package kafka is the wire: connections, requests and answers, nothing decided.
//
// Two ways lead to a broker. The data path uses [Conn], an ordered pipelined connection whose requests are
// written without copying record bytes and whose answers come back in order; franz-go's client has no such
// thing. Everything else (metadata, topics, configs, groups) goes through [Cluster], which wraps franz-go.
// Both use the same [Auth].
//
// Requests whose blind repetition would break equal offsets (Produce, WriteTxnMarkers, EndTxn) are sent
// with Conn only, because it never retries. No other package of kferry imports franz-go.
package kafka
