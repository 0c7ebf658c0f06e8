package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// disaster is what happens when so many openers have begun.
type disaster struct {
	at int
	// replica is killed, the database crashes if it is negative.
	replica int
}

// planDisasters spreads them over the middle of the run.
func planDisasters(random *rand.Rand, opens, kills, crashes, replicas int) []disaster {
	plan := make([]disaster, kills+crashes)
	for i := range plan {
		plan[i].replica = random.IntN(replicas)
		if i < crashes {
			plan[i].replica = -1
		}
	}
	random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	for i := range plan {
		share := (float64(i) + random.Float64()) / float64(len(plan))
		plan[i].at = int(float64(opens) * (0.1 + 0.8*share))
	}
	return plan
}

// chaos is the disasters of a shape.
type chaos struct {
	plan   []disaster
	coming chan disaster
	next   int

	// What has happened.
	kills, crashes int
}

// reached sends off the disasters whose time has come. It waits until the one before
// is over: no two happen at once, and none after the run.
func (c *chaos) reached(ctx context.Context, opens int) error {
	for ; c.next < len(c.plan) && c.plan[c.next].at <= opens; c.next++ {
		select {
		case c.coming <- c.plan[c.next]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// run lets them happen.
func (c *chaos) run(ctx context.Context, kill func(replica int) error, crash func() error) error {
	for range c.plan {
		var d disaster
		select {
		case d = <-c.coming:
		case <-ctx.Done():
			return nil // somebody else says why
		}
		if d.replica < 0 {
			if err := crash(); err != nil {
				return fmt.Errorf("restart the database: %w", err)
			}
			c.crashes++
			continue
		}
		if err := kill(d.replica); err != nil {
			return err
		}
		c.kills++
	}
	return nil
}
