//go:build !race

package mirror_test

// everyday is how many random worlds an ordinary run has.
const everyday = 20_000
