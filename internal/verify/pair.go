package verify

import (
	"context"
	"fmt"
	"sync"

	"github.com/kferry/kferry/internal/verify/digest"
)

// readAhead is how many chunks a side may be ahead of the comparison, besides the one that is being fetched.
const readAhead = 1

// feed reads both sides at the same time and feeds c until it is done. fed, if set, is called after each chunk.
func feed(ctx context.Context, c *digest.Comparer, source, target *reader, fed func()) error {
	sides, stop := start(ctx, source, target)
	defer stop()
	for !c.Done() {
		side := c.Wants()
		f, ok := <-sides[side]
		switch {
		case !ok && ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			return fmt.Errorf("the %s's reader ended at offset %d before the comparison did", side, c.At())
		case f.err != nil:
			return f.err
		}
		if err := c.Feed(side, f.chunk); err != nil {
			return err
		}
		if fed != nil {
			fed()
		}
	}
	return nil
}

// start runs readers; stop ends them and releases what they still hold.
func start(ctx context.Context, readers ...*reader) (sides []chan fed, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, r := range readers {
		out := make(chan fed, readAhead)
		sides = append(sides, out)
		wg.Go(func() { r.run(ctx, out) })
	}
	return sides, func() {
		cancel()
		for _, side := range sides {
			for f := range side {
				release(f.chunk)
			}
		}
		wg.Wait()
	}
}
