package bucket

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes that uploads hold in memory, over all Stores that share it.
type Budget struct {
	all *semaphore.Weighted
	// free are buffers that nobody uses. Not a sync.Pool: a collection would give them
	// up while uploads run, and twice as much memory would be used.
	free chan *[PartSize]byte
}

// PartSize is how many bytes a part of a multipart upload has, the last one excepted:
// S3's least. A larger one would be no faster, and hold more.
const PartSize = 5 << 20

// DefaultBudget holds 12 parts.
const DefaultBudget = 12 * PartSize

// NewBudget allows size bytes, which is one part at the least.
func NewBudget(size int64) *Budget {
	size = max(size, PartSize)
	return &Budget{all: semaphore.NewWeighted(size), free: make(chan *[PartSize]byte, size/PartSize)}
}

// take lends size bytes, PartSize at the most, until they are given back. It waits for
// its turn.
func (b *Budget) take(ctx context.Context, size int64) (buffer []byte, back func(), err error) {
	if err := b.all.Acquire(ctx, size); err != nil {
		return nil, nil, err
	}
	if size < PartSize/4 { // not worth a whole one
		return make([]byte, size), func() { b.all.Release(size) }, nil
	}
	var part *[PartSize]byte
	select {
	case part = <-b.free:
	default:
		part = new([PartSize]byte)
	}
	return part[:size], func() {
		select {
		case b.free <- part:
		default: // there are enough for all that the budget allows
		}
		b.all.Release(size)
	}, nil
}
