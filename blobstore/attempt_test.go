package blobstore

import (
	"testing"
	"time"
)

// Blobs that are made together lie in few folders, and all folders fill alike.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	used := map[byte]int{}
	for tick := range 256 {
		together := map[byte]bool{}
		for random := range 256 {
			at := start.Add(time.Duration(tick)*togetherFor + time.Duration(random)*togetherFor/256)
			last := neighbours(at, byte(random))
			together[last] = true
			used[last]++
		}
		if len(together) != endings {
			t.Fatalf("keys of one moment have %d endings", len(together))
		}
	}
	for last := range 256 {
		if used[byte(last)] != 256 {
			t.Errorf("of %d keys %d end in %02x", 256*256, used[byte(last)], last)
		}
	}
}

func TestAttemptsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[[8]byte]bool{}
	for range 10_000 {
		seen[newAttempt()] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d attempts of 10,000 are unlike the others", len(seen))
	}
}
