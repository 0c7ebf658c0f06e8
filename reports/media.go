package reports

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/checksum"
)

// ReceiveMedia takes the reported bytes from the reporter, whose report waits for them,
// and opens the report. length is what the client says it will send. Fails with
// ErrUnknownReport, ErrMediaNotAwaited, ErrWithdrawn, ErrForgotten, blobstore.ErrSize,
// blobstore.ErrDigest, *BodyError or *StoreError; then nothing of the body is kept.
//
// P6: it takes nothing but what the sender uploaded, by its SHA-256.
func (s *Service) ReceiveMedia(ctx context.Context, id uuid.UUID, handle Hash, body io.Reader, length int64) (Report, error) {
	r, err := s.awaiting(ctx, id, handle)
	switch {
	case err != nil:
		return Report{}, err
	case length != r.Size:
		return Report{}, fmt.Errorf("%w: %d bytes, not %d", blobstore.ErrSize, length, r.Size)
	}
	key := blobstore.NewEvidenceKey(id)
	if err := s.Store.BeginEvidence(ctx, id, key, s.now()); err != nil {
		return Report{}, s.late(ctx, id, handle, err, "record the upload")
	}
	keyed := checksum.New()
	in := blobstore.NewDigestReader(io.TeeReader(body, keyed), r.Size, &r.SHA256)
	if err := s.Blobs.Put(ctx, key, in, r.Size); err != nil {
		s.discard(ctx, id, key)
		return Report{}, uploadError(ctx, in, err)
	}
	if _, ok := in.Sum(); !ok {
		s.discard(ctx, id, key)
		return Report{}, &StoreError{"store the media", errors.New("the store did not read the body to its end")}
	}
	err = s.Store.StoreEvidence(ctx, StoredEvidence{
		Report: id, Key: key, SHA256: r.SHA256, Checksum: keyed.Checksum(), Now: s.now(), Act: ActMediaReceived,
	})
	if errors.Is(err, ErrTooLate) {
		s.discard(ctx, id, key)
	}
	if err != nil {
		return Report{}, s.late(ctx, id, handle, err, "record the media")
	}
	r, err = s.Store.HandledReport(ctx, id, handle)
	return r, known(err, "find the report")
}

// awaiting is the report, if it waits for bytes.
func (s *Service) awaiting(ctx context.Context, id uuid.UUID, handle Hash) (Report, error) {
	r, err := s.Store.HandledReport(ctx, id, handle)
	switch {
	case err != nil:
		return Report{}, known(err, "find the report")
	case r.State == StateWithdrawn:
		return Report{}, ErrWithdrawn
	case r.State == StateLapsed:
		return Report{}, ErrForgotten
	case r.State != StateAwaitingMedia:
		return Report{}, ErrMediaNotAwaited
	case !s.now().Before(r.MediaUntil):
		return Report{}, ErrForgotten
	}
	return r, nil
}

// late says what the Store's ErrTooLate means to a reporter: what has become of the report
// since it waited.
func (s *Service) late(ctx context.Context, id uuid.UUID, handle Hash, err error, op string) error {
	if !errors.Is(err, ErrTooLate) {
		return known(err, op)
	}
	if _, err := s.awaiting(ctx, id, handle); err != nil {
		return err
	}
	return ErrForgotten
}

// uploadError says whose fault a failed Put was.
func uploadError(ctx context.Context, in *blobstore.DigestReader, err error) error {
	bodyErr := in.BodyErr()
	switch {
	case errors.Is(err, blobstore.ErrSize), errors.Is(err, blobstore.ErrDigest):
		return err
	case bodyErr != nil:
		return &BodyError{bodyErr}
	case ctx.Err() != nil:
		return &BodyError{context.Cause(ctx)}
	}
	return &StoreError{"store the media", err}
}
