package bucket

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes that uploads hold in memory, over all Stores that share it.
type Budget struct {
	all     *semaphore.Weighted
	buffers sync.Pool // of partSize each
}

// PartSize is how many bytes a part of a multipart upload has, the last one excepted:
// S3's least. A larger one would be no faster, and hold more.
const PartSize = 5 << 20

// DefaultBudget holds 24 parts.
const DefaultBudget = 24 * PartSize

// NewBudget allows size bytes, which is one part at the least.
func NewBudget(size int64) *Budget {
	return &Budget{
		all:     semaphore.NewWeighted(max(size, PartSize)),
		buffers: sync.Pool{New: func() any { return new([PartSize]byte) }},
	}
}

// take lends size bytes, PartSize at the most, until they are given back. It waits for its turn.
func (b *Budget) take(ctx context.Context, size int64) (buffer []byte, back func(), err error) {
	if err := b.all.Acquire(ctx, size); err != nil {
		return nil, nil, err
	}
	if size < PartSize/4 { // not worth a whole one of the pool
		return make([]byte, size), func() { b.all.Release(size) }, nil
	}
	part := b.buffers.Get().(*[PartSize]byte)
	return part[:size], func() {
		b.buffers.Put(part)
		b.all.Release(size)
	}, nil
}
