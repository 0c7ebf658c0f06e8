package main

import (
	"context"
	"slices"
	"testing"
)

// TestTakeTurns looks who begins, and that the warm-up is thrown away.
func TestTakeTurns(t *testing.T) {
	t.Parallel()
	s := &servers{b: &bench{runs: 2}}
	var order []int
	var sides []side
	for n := range 3 {
		sides = append(sides, side{do: func(_ context.Context, run int) (float64, error) {
			order = append(order, 10*run+n)
			return 1, nil
		}})
	}
	all, err := s.takeTurns(t.Context(), nil, sides...)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 2, 0, 12, 10, 11, 20, 21, 22}; !slices.Equal(order, want) {
		t.Errorf("the turns are %v, not %v", order, want)
	}
	for n, ms := range all {
		if len(ms) != 2 {
			t.Errorf("side %d has %d runs, not 2", n, len(ms))
		}
	}
}
