package blobstore

import "context"

// Importer is a Store that can make a copy of a blob of another Store without the bytes
// going through us. Not every Store can, and none can of every other.
type Importer interface {
	// Import makes dst of src in from, durable on nil. An existing dst is ErrExists, a
	// missing src is ErrNotFound. errors.ErrUnsupported if from is none that this Store
	// is certain to reach by itself: that is told before anything is done, and by no
	// other failure.
	Import(ctx context.Context, dst Key, from Store, src Key) error
}
