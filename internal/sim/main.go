package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

func main() {
	n := flag.Uint64("seeds", 100_000, "how many worlds")
	from := flag.Uint64("from", uint64(time.Now().UnixNano())%1_000_000_000*1_000_000, "the first one's seed")
	one := flag.Uint64("seed", 0, "run this world alone and tell what happens in it")
	mistake := flag.String("mutant", "", fmt.Sprint("a mistake of the driver: ", slices.Sorted(maps.Keys(mutants))))
	counts := flag.Bool("counts", true, "print what occurred how often, and fail if something never did")
	flag.Parse()
	m, ok := mutants[*mistake]
	if !ok && *mistake != "" {
		fmt.Fprintf(os.Stderr, "nobody knows the mistake %q\n", *mistake)
		os.Exit(2)
	}
	if *one != 0 {
		story, err := retell(*one, m)
		fmt.Printf("%s\nending: %v\n", story, err)
		if err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(many(*from, *n, m, *mistake, *counts))
}

// many runs worlds and prints what came of them. It returns the exit code.
func many(from, n uint64, m mutant, mistake string, counts bool) int {
	fmt.Printf("seeds from %d on\n", from)
	r := run(from, n, m, func(r *result) { fmt.Fprintf(os.Stderr, "\r%s ", r) })
	fmt.Fprintln(os.Stderr)
	if r.err != nil {
		story, err := retell(r.failed, m)
		fmt.Printf("%s\nseed %d: %v\n", story, r.failed, err)
		again := fmt.Sprintf("go run ./internal/sim -seed %d", r.failed)
		if mistake != "" {
			again += " -mutant " + mistake
		}
		fmt.Println("again:", again)
		return 1
	}
	if counts {
		fmt.Print(r.tally.String())
	}
	fmt.Println(r)
	if missing := r.tally.missing(); counts && n >= 100_000 && len(missing) > 0 {
		fmt.Printf("never occurred: %q\n", missing)
		return 1
	}
	return 0
}
