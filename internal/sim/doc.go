// Command sim runs a partition's decisions (package mirror) through random worlds: a source and a target broker,
// one or two kferrys between them, a network, and everything that may go wrong with each. One seed is one world:
// its clock is virtual, nothing in it runs beside anything else, and the same seed gives the same events again.
//
//	go run ./internal/sim -seeds 1000000            as many worlds, from a random one on
//	go run ./internal/sim -seeds 1000 -from 77001   these
//	go run ./internal/sim -seed 77123               one, telling what happens in it
//	go run ./internal/sim -mutant blind-retry       with a driver that makes a mistake: the first seed that notices
//
// What the machine is given are a driver's events, as package replicate would bring them: late, in parts, out of
// date, never. What is judged is not what the machine believes but what lies in the two logs: see oracle.go. A
// fault must have a cause in the world's ledger, and what is wrong must not go without a fault.
package main
