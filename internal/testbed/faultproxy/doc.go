// Package faultproxy forwards connections to a Kafka broker and does to single requests what networks and
// brokers do at the worst moment: an answer is lost although the request was carried out, a request arrives long
// after its connection is gone, or twice, or late; a link becomes slow, silent or is reset.
//
// It understands framing and request headers (API key, version, correlation id) and nothing else, so it works
// between clients and brokers as well as between brokers, for every version. It does not speak TLS or SASL.
// Brokers must advertise it ([testbed.Options.Advertise], [testbed.Options.AdvertiseInternal]).
//
// What happens is told by rules, which may be changed while connections are open, are counted, and draw from
// one seed. Which request meets which number still depends on the order in which requests arrive.
package faultproxy
