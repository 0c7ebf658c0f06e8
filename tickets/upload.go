package tickets

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

// BodyError says that the body could not be read to its end: the client's
// connection broke, stalled or was cut. Nothing of it is kept.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the body: " + e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// Upload takes the bytes of the blob that a grant is for. length is what the
// client says it will send. On nil the blob is stored. Fails with ErrToken,
// ErrUnknownGrant, ErrAlreadyStored, ErrTooLate, *TooLargeError,
// blobstore.ErrSize, blobstore.ErrDigest, *BodyError or *StoreError; then nothing
// of the body is kept, and unless the first five say otherwise it may be sent again.
func (s *Service) Upload(ctx context.Context, grant Token, body io.Reader, length int64) (Blob, error) {
	b, err := s.Store.FindGrant(ctx, grant.ID(), grant.Hash())
	if err != nil {
		return Blob{}, known(err, "find the upload", ErrUnknownGrant)
	}
	now := s.now()
	switch {
	case b.State == BlobStored:
		return Blob{}, ErrAlreadyStored
	case b.State != BlobPending || !now.Before(b.UploadUntil):
		return Blob{}, ErrTooLate
	case length > b.Size:
		return Blob{}, &TooLargeError{length, b.Size}
	case length < b.Size:
		return Blob{}, fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, length, b.Size)
	}
	key := newKey(b.ID)
	if err := s.Store.BeginAttempt(ctx, b.ID, key, b.UploadUntil, now); err != nil {
		return Blob{}, known(err, "record the upload", ErrTooLate)
	}
	return s.receive(ctx, b, key, body, func(ctx context.Context) error {
		return s.Store.DropAttempt(ctx, b.ID, key)
	})
}

// UploadNow records a blob and takes its bytes in one call. On nil the blob is
// stored. Fails like Announce and Upload; then nothing is kept of either.
func (s *Service) UploadNow(ctx context.Context, r Request, body io.Reader) (Issued, error) {
	issued, err := s.prepare(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	b := issued.Blob
	key := newKey(b.ID)
	if err := s.Store.Begin(ctx, b, rows(issued.Tickets), Hash{}, key); err != nil {
		return Issued{}, &StoreError{"record the blob", err}
	}
	issued.Blob, err = s.receive(ctx, b, key, body, func(ctx context.Context) error {
		return s.Store.Abandon(ctx, b.ID)
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// receive puts the body under key and makes the pending blob stored. The attempt
// is on record already; forget removes that record once the bytes are gone.
func (s *Service) receive(ctx context.Context, b Blob, key blobstore.Key, body io.Reader, forget func(context.Context) error) (Blob, error) {
	ctx, done := s.transfers.begin(ctx, b.ID)
	defer done()
	if c, ok := body.(io.Closer); ok {
		// A Read that waits for a slow client ends with the transfer too.
		defer context.AfterFunc(ctx, func() { c.Close() })()
	}

	r := blobstore.NewDigestReader(body, b.Size, b.Announced)
	if err := s.Blobs.Put(ctx, key, r, b.Size); err != nil {
		s.discard(ctx, key, forget)
		return Blob{}, uploadError(ctx, r, err)
	}
	sum, ok := r.Sum()
	if !ok {
		s.discard(ctx, key, forget)
		return Blob{}, &StoreError{"store the blob", errors.New("the store did not read the body to its end")}
	}
	now := s.now()
	expires := now.Add(b.Terms.UnopenedTTL)
	err := s.Store.Commit(ctx, Commit{ID: b.ID, Key: key, SHA256: sum, Now: now, Expires: expires})
	switch {
	case err == nil:
		b.State, b.Key, b.SHA256 = BlobStored, key, &sum
		b.StoredAt, b.ExpiresAt, b.PurgeAt = now, expires, expires
		return b, nil
	case errors.Is(err, ErrAlreadyStored), errors.Is(err, ErrTooLate):
		s.discard(ctx, key, forget)
		return Blob{}, err
	default:
		// P1: the commit may have happened, so the bytes stay. If it did not, the
		// attempt is still on record and the purge deletes them.
		return Blob{}, &StoreError{"record the stored blob", err}
	}
}

// uploadError says whose fault a failed Put was.
func uploadError(ctx context.Context, r *blobstore.DigestReader, err error) error {
	bodyErr := r.BodyErr()
	switch {
	case errors.Is(context.Cause(ctx), errUnsent):
		return ErrTooLate
	case errors.Is(err, blobstore.ErrSize), errors.Is(err, blobstore.ErrDigest):
		return err
	case bodyErr != nil:
		return &BodyError{bodyErr}
	case ctx.Err() != nil:
		return &BodyError{context.Cause(ctx)}
	}
	return &StoreError{"store the blob", err}
}

// discard deletes what a failed upload may have left, and then its record. What
// it cannot do now the purge does later: the record stays until the bytes are gone.
func (s *Service) discard(ctx context.Context, key blobstore.Key, forget func(context.Context) error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.Blobs.Delete(ctx, key); err == nil {
		_ = forget(ctx) // the purge finds the record, and deletes nothing twice
	}
}

// newKey makes the key of one attempt to upload a blob: the blob's id, so that a
// sweep finds the row of a key, and 64 random bits, so that no two attempts meet.
func newKey(blob uuid.UUID) blobstore.Key {
	var attempt [8]byte
	rand.Read(attempt[:])
	return blobstore.Key(hex.EncodeToString(blob[:]) + "-" + hex.EncodeToString(attempt[:]))
}

// KeyOwner is the id of the blob that a key was made for; false if newKey did not
// make it.
func KeyOwner(key blobstore.Key) (uuid.UUID, bool) {
	var id uuid.UUID
	if len(key) != 32+1+16 || key[32] != '-' {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(key[:32])); err != nil {
		return uuid.UUID{}, false
	}
	return id, true
}
