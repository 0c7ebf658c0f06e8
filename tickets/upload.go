package tickets

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
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
	b, err := s.granted(ctx, grant)
	switch {
	case err != nil:
		return Blob{}, err
	case length > b.Size:
		return Blob{}, &TooLargeError{length, b.Size}
	case length < b.Size:
		return Blob{}, fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, length, b.Size)
	}
	key := blobstore.NewKey(b.ID)
	if err := s.Store.BeginAttempt(ctx, b.ID, key, b.UploadUntil, s.now()); err != nil {
		return Blob{}, known(err, "record the upload", ErrTooLate)
	}
	sums, err := s.receive(ctx, b, key, body)
	if err != nil {
		return Blob{}, err
	}
	b = s.storedAs(b, key, sums)
	err = s.Store.Commit(ctx, b.commit())
	if err := s.recorded(ctx, b, err); err != nil {
		return Blob{}, err
	}
	return b, nil
}

// granted is the pending blob that a grant is for. Fails with ErrUnknownGrant,
// ErrAlreadyStored, ErrTooLate or *StoreError.
func (s *Service) granted(ctx context.Context, grant Token) (Blob, error) {
	b, err := s.Store.FindGrant(ctx, grant.ID(), grant.Hash())
	switch {
	case err != nil:
		return Blob{}, known(err, "find the upload", ErrUnknownGrant)
	case b.State == BlobStored:
		return Blob{}, ErrAlreadyStored
	case b.State != BlobPending || !s.now().Before(b.UploadUntil):
		return Blob{}, ErrTooLate
	}
	return b, nil
}

// UploadNow takes a blob's bytes and records it in one call. On nil the blob is
// stored. Fails like Announce and Upload; then nothing is kept of either.
func (s *Service) UploadNow(ctx context.Context, r Request, body io.Reader) (Issued, error) {
	terms, err := s.termsOf(ctx, r)
	if err != nil {
		return Issued{}, err
	}
	attempt, done, err := s.reserve(ctx, terms.UploadTTL)
	if err != nil {
		return Issued{}, err
	}
	defer done()
	issued := prepare(r, terms, attempt.ID, s.now())
	sums, err := s.receive(ctx, issued.Blob, attempt.Key, body)
	if err != nil {
		return Issued{}, err
	}
	b := s.storedAs(issued.Blob, attempt.Key, sums)
	err = ErrTooLate
	if b.StoredAt.Before(b.UploadUntil) {
		err = s.Store.Create(ctx, b, rows(issued.Tickets))
	}
	if err := s.recorded(ctx, b, err); err != nil {
		return Issued{}, err
	}
	issued.Blob = b
	return issued, nil
}

// sums are of the bytes of a blob, made in one pass.
type sums struct {
	sha256   blobstore.Digest
	checksum checksum.Sum
}

// receive puts the body of a blob under key. The attempt is on record already; after
// an error it goes, and what may be there of the bytes before it.
func (s *Service) receive(ctx context.Context, b Blob, key blobstore.Key, body io.Reader) (sums, error) {
	one := s.transfers.begin(ctx, b.ID)
	defer one.end()
	ctx = one.ctx
	if c, ok := body.(io.Closer); ok {
		// A Read that waits for a slow client ends with the transfer too.
		defer context.AfterFunc(ctx, func() { c.Close() })()
	}

	keyed := checksum.New()
	r := blobstore.NewDigestReader(io.TeeReader(body, keyed), b.Size, b.Announced)
	if err := s.Blobs.Put(ctx, key, r, b.Size); err != nil {
		s.discard(ctx, b.ID, key)
		return sums{}, uploadError(ctx, r, err)
	}
	sum, ok := r.Sum()
	if !ok {
		s.discard(ctx, b.ID, key)
		return sums{}, &StoreError{"store the blob", errors.New("the store did not read the body to its end")}
	}
	return sums{sum, keyed.Checksum()}, nil
}

// storedAs is the blob once its bytes lie under key, now.
func (s *Service) storedAs(b Blob, key blobstore.Key, of sums) Blob {
	now := s.now()
	b.State, b.Key, b.SHA256, b.Checksum = BlobStored, key, &of.sha256, of.checksum
	b.StoredAt, b.ExpiresAt = now, now.Add(b.Terms.UnopenedTTL)
	b.PurgeAt = b.ExpiresAt
	if s.Stamp != nil {
		b.Stamp = s.Stamp(b)
	}
	return b
}

// commit is what the Store is told of a blob that was pending and is stored now.
func (b Blob) commit() Commit {
	return Commit{
		ID: b.ID, Key: b.Key, SHA256: *b.SHA256, Checksum: b.Checksum,
		Now: b.StoredAt, Expires: b.ExpiresAt, Stamp: b.Stamp,
	}
}

// recorded says what err, the outcome of recording the stored blob, means.
func (s *Service) recorded(ctx context.Context, b Blob, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrAlreadyStored), errors.Is(err, ErrTooLate):
		s.discard(ctx, b.ID, b.Key)
		return err
	default:
		// P1: it may have happened, so the bytes stay. If it did not, the attempt is
		// still on record and the purge deletes them.
		return &StoreError{"record the stored blob", err}
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
func (s *Service) discard(ctx context.Context, id uuid.UUID, key blobstore.Key) {
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.Blobs.Delete(ctx, key); err == nil {
		_ = s.Store.DropAttempt(ctx, id, key) // the purge finds the record, and deletes nothing twice
	}
}
