package tickets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

const (
	// MaxDirect is how many bytes a client can bring straight to the blob store: what
	// S3 takes in one request.
	MaxDirect = 5 << 30
	// directTTL is how long it may take to begin with it.
	directTTL = time.Hour
)

// Direct is how a client brings a blob's bytes to the blob store itself, in place of
// to us. After it Complete makes the blob stored.
type Direct struct {
	blobstore.PresignedPut
	ExpiresAt time.Time
}

// direct is how the bytes of b can be brought to the store; nil if only to us.
func (s *Service) direct(ctx context.Context, b Blob, grant Token) (*Direct, error) {
	store, ok := s.Blobs.(blobstore.Presigner)
	valid := min(b.Terms.UploadTTL, directTTL).Truncate(time.Second)
	if !s.Direct || !ok || b.Announced == nil || b.Size > MaxDirect || valid <= 0 {
		return nil, nil
	}
	put, err := store.PresignPut(ctx, directKey(grant), b.Size, *b.Announced, valid)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	case err != nil:
		return nil, &StoreError{"presign the upload", err}
	}
	return &Direct{put, b.CreatedAt.Add(valid)}, nil
}

// directKey is the key under which the holder of a grant puts bytes by himself. It is
// made of the grant, so that no row has to tell it. It never is a stored blob's.
func directKey(grant Token) blobstore.Key {
	h := grant.Hash()
	sum := sha256.Sum256(append([]byte("direct upload\x00"), h[:]...))
	return blobstore.AttemptKey(grant.ID(), [8]byte(sum[:]))
}

// Complete makes a blob stored whose bytes a client has brought to the blob store
// itself. On nil the blob is stored. Fails with ErrUnknownGrant, ErrAlreadyStored,
// ErrTooLate, ErrNotUploaded, blobstore.ErrSize, blobstore.ErrDigest, *BodyError (the
// caller has left) or *StoreError. After ErrSize and ErrDigest nothing of the bytes is
// kept, and they may be sent again, to us or for as long as that is good directly;
// after the last two Complete may be tried again.
//
// P1: whoever has the presigned request may replace what it has put (see
// blobstore.Presigner). So the bytes are copied to where no client can reach them,
// and what is verified, and becomes the blob, is the copy. The first attempt stays on
// record until its time is over: whatever the request may still bring, a purge finds.
func (s *Service) Complete(ctx context.Context, grant Token) (Blob, error) {
	if _, err := s.granted(ctx, grant); err != nil {
		return Blob{}, err
	}
	leave, err := s.completions.enter(ctx, grant.ID())
	if err != nil {
		return Blob{}, &BodyError{err}
	}
	defer leave()
	b, err := s.granted(ctx, grant) // it may have been stored while we waited
	if err != nil {
		return Blob{}, err
	}
	one := s.transfers.begin(ctx, b.ID)
	defer one.end()
	ctx = one.ctx
	put := directKey(grant)
	if err := s.arrived(ctx, b, put); err != nil {
		return Blob{}, err
	}
	key := blobstore.NewKey(b.ID)
	if err := s.Store.BeginAttempt(ctx, b.ID, key, b.UploadUntil, s.now()); err != nil {
		return Blob{}, known(err, "record the upload", ErrTooLate)
	}
	sums, err := s.adopt(ctx, b, key, put)
	if err != nil {
		s.discard(ctx, b.ID, key)
		if errors.Is(err, blobstore.ErrDigest) || errors.Is(err, blobstore.ErrSize) {
			s.deleteDirect(ctx, put)
		}
		return Blob{}, err
	}
	b = s.storedAs(b, key, sums)
	err = s.Store.Commit(ctx, b.commit())
	if err := s.recorded(ctx, b, err); err != nil {
		return Blob{}, err
	}
	s.deleteDirect(ctx, put)
	return b, nil
}

// arrived looks whether something of the right size is there, before work is made of it.
func (s *Service) arrived(ctx context.Context, b Blob, put blobstore.Key) error {
	body, info, err := s.Blobs.Open(ctx, put, 0)
	if err != nil {
		return completeError(ctx, "open the upload", err)
	}
	body.Close() // now: MinIO deletes nothing that is being read
	if info.Size != b.Size {
		s.deleteDirect(ctx, put)
		return fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, info.Size, b.Size)
	}
	return nil
}

// adopt copies what was put to key, and verifies the copy.
func (s *Service) adopt(ctx context.Context, b Blob, key, put blobstore.Key) (sums, error) {
	var none sums
	if err := s.Blobs.Copy(ctx, key, put); err != nil {
		return none, completeError(ctx, "copy the upload", err)
	}
	body, info, err := s.Blobs.Open(ctx, key, 0)
	if err != nil {
		// That it is not there means nothing to the caller: we have just put it there.
		return none, completeError(ctx, "open the copy", opaque(err))
	}
	defer body.Close()
	if info.Size != b.Size {
		return none, fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, info.Size, b.Size)
	}
	keyed := checksum.New()
	r := blobstore.NewDigestReader(io.TeeReader(body, keyed), b.Size, b.Announced)
	_, err = io.Copy(io.Discard, r)
	sum, ok := r.Sum()
	switch {
	case errors.Is(err, blobstore.ErrDigest):
		return none, err
	case err != nil:
		// Also if it was too short, for it has the right size: it was cut off on its
		// way to us.
		return none, completeError(ctx, "read the copy", opaque(err))
	case !ok:
		return none, &StoreError{"read the copy", io.ErrUnexpectedEOF}
	}
	return sums{sum, keyed.Checksum()}, nil
}

// opaque is an error that means nothing but its text.
func opaque(err error) error { return errors.New(err.Error()) }

// completeError says what a failure of the blob store means to who completes.
func completeError(ctx context.Context, op string, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errUnsent):
		return ErrTooLate
	case ctx.Err() != nil:
		return &BodyError{context.Cause(ctx)}
	case errors.Is(err, blobstore.ErrNotFound):
		return ErrNotUploaded
	}
	return &StoreError{op, err}
}

// deleteDirect deletes what a client has put by itself, and leaves the attempt on
// record: the purge, which comes when nothing more can, does what this cannot.
func (s *Service) deleteDirect(ctx context.Context, put blobstore.Key) {
	ctx, cancel := settle(ctx)
	defer cancel()
	_ = s.Blobs.Delete(ctx, put)
}

// completions lets a blob be completed by one call at a time: each makes a copy of
// its bytes. The zero value is ready.
type completions struct {
	mu   sync.Mutex
	busy map[uuid.UUID]chan struct{} // closed when the call has left
}

// enter waits for its turn. It fails if ctx ends before.
func (c *completions) enter(ctx context.Context, id uuid.UUID) (leave func(), err error) {
	for {
		c.mu.Lock()
		other, busy := c.busy[id]
		if !busy {
			break
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer c.mu.Unlock()
	if c.busy == nil {
		c.busy = make(map[uuid.UUID]chan struct{})
	}
	mine := make(chan struct{})
	c.busy[id] = mine
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, id)
		close(mine)
	}, nil
}
