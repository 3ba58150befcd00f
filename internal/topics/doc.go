// Package topics keeps the target's topics in step with the source's: it creates them, adds partitions, sets
// the configuration that a copy needs and, at the end, the one that the source has.
//
// It decides nothing about records and reads none. What configuration a topic gets is decided by the pure
// package settings; here both clusters are asked and told.
//
// Whether a topic was finalized is remembered by the caller (in the state topic), because a topic has no place
// for a marker of our own. Without that memory a topic that holds data and does not show the configuration
// of a copy is taken for finalized: it is never turned back silently.
package topics
