//go:build race

package mirror_test

// everyday is how many random worlds an ordinary run has: the race detector makes each ten times as slow.
const everyday = 2000
