package apart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mayfly/blobstore"
)

// Store is a blobstore.Store made of two. Media is required.
type Store struct {
	Media blobstore.Store
	// Evidence keeps evidence apart; if it is nil, or Media itself, Media keeps it too.
	Evidence blobstore.Store
}

var (
	_ blobstore.Store           = (*Store)(nil)
	_ blobstore.CountingDeleter = (*Store)(nil)
	_ blobstore.AbsenceTeller   = (*Store)(nil)
	_ blobstore.Unfinisher      = (*Store)(nil)
	_ blobstore.Presigner       = (*Store)(nil)
	_ io.Closer                 = (*Store)(nil)
)

// place is one of the two stores. Its name is in errors and in the Ref of its unfinished
// uploads.
type place struct {
	blobstore.Store
	name string
}

func (s *Store) media() place    { return place{s.Media, "media"} }
func (s *Store) evidence() place { return place{s.Evidence, "evidence"} }

// single reports whether there is but one store.
func (s *Store) single() bool { return s.Evidence == nil || s.Evidence == s.Media }

// ofSender reports whether the key is that of a sender's blob, which is in the media store
// or nowhere.
func ofSender(key blobstore.Key) bool {
	_, owned := key.Owner()
	return owned && !key.IsEvidence()
}

// places are where a blob may be. The first is where it is put.
func (s *Store) places(key blobstore.Key) []place {
	switch {
	case s.single() || ofSender(key):
		return []place{s.media()}
	case key.IsEvidence():
		return []place{s.evidence(), s.media()}
	}
	return []place{s.media(), s.evidence()}
}

// Put implements blobstore.Store.
func (s *Store) Put(ctx context.Context, key blobstore.Key, r io.Reader, size int64) error {
	return s.places(key)[0].Put(ctx, key, r, size)
}

// Open implements blobstore.Store. The reader is the store's own: an *os.File stays one.
func (s *Store) Open(ctx context.Context, key blobstore.Key, offset int64) (body io.ReadCloser, info blobstore.Info, err error) {
	err = s.find(key, func(p place) (err error) {
		body, info, err = p.Open(ctx, key, offset)
		return err
	})
	return body, info, err
}

// find tries the places of a key until it is found, or a place fails: where one does not
// answer, nobody can say that there is no such blob.
func (s *Store) find(key blobstore.Key, try func(place) error) (err error) {
	for _, p := range s.places(key) {
		if err = try(p); !errors.Is(err, blobstore.ErrNotFound) {
			break
		}
	}
	return err
}

// Copy implements blobstore.Store. Between the two stores the bytes go through us only if
// they cannot go without.
func (s *Store) Copy(ctx context.Context, dst, src blobstore.Key) error {
	to := s.places(dst)[0]
	return s.find(src, func(from place) error {
		if to.name == from.name {
			return to.Copy(ctx, dst, src)
		}
		return transfer(ctx, to, dst, from, src)
	})
}

func transfer(ctx context.Context, to place, dst blobstore.Key, from place, src blobstore.Key) error {
	if importer, ok := to.Store.(blobstore.Importer); ok {
		// from.Store and not from: a store knows another by its type.
		err := importer.Import(ctx, dst, from.Store, src)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if err := stream(ctx, to, dst, from, src); err != nil {
		return fmt.Errorf("copy blob %s from the %s store to %s in the %s store: %w", src, from.name, dst, to.name, err)
	}
	return nil
}

func stream(ctx context.Context, to place, dst blobstore.Key, from place, src blobstore.Key) error {
	body, info, err := from.Open(ctx, src, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	// A bucket takes a Put of the bytes that a blob has already for the same Put, sent again.
	switch there, _, err := to.Open(ctx, dst, 0); {
	case err == nil:
		there.Close()
		return blobstore.ErrExists
	case !errors.Is(err, blobstore.ErrNotFound):
		return err
	}
	return to.Put(ctx, dst, body, info.Size)
}

// PresignPut implements blobstore.Presigner, of senders' blobs, if the media store can.
func (s *Store) PresignPut(ctx context.Context, key blobstore.Key, size int64, sum blobstore.Digest, valid time.Duration) (blobstore.PresignedPut, error) {
	store, ok := s.Media.(blobstore.Presigner)
	if !ok || key.IsEvidence() {
		return blobstore.PresignedPut{}, fmt.Errorf("presign the upload of %s: %w", key, errors.ErrUnsupported)
	}
	return store.PresignPut(ctx, key, size, sum, valid)
}

// Check implements blobstore.Store.
func (s *Store) Check(ctx context.Context) error {
	if s.single() {
		return s.Media.Check(ctx)
	}
	var media, evidence error
	var both sync.WaitGroup
	both.Go(func() { media = s.media().failed(s.Media.Check(ctx)) })
	both.Go(func() {
		if evidence = s.Evidence.Check(ctx); evidence == nil {
			evidence = s.checkEvidence(ctx)
		}
		evidence = s.evidence().failed(evidence)
	})
	both.Wait()
	return errors.Join(media, evidence)
}

// fewToCheck bounds what each Check looks at. Of what is, or was, a media store nearly all
// is senders'; and a sweep looks at everything.
const fewToCheck = 100

// checkEvidence looks for senders' blobs among the evidence.
func (s *Store) checkEvidence(ctx context.Context) error {
	n := 0
	for info, err := range s.Evidence.All(ctx) {
		switch {
		case err != nil:
			return err
		case !info.Partial && ofSender(info.Key):
			return misplaced(info.Key)
		}
		if n++; n == fewToCheck {
			break
		}
	}
	return nil
}

func misplaced(key blobstore.Key) error {
	return fmt.Errorf("blob %s is a sender's and no evidence: give evidence a bucket, prefix or folder of its own, "+
		"or move such blobs to the media store", key)
}

// failed says which store an error is of.
func (p place) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s store: %w", p.name, err)
}

// Close closes the stores that can be closed.
func (s *Store) Close() error {
	stores := []blobstore.Store{s.Media, s.Evidence}
	if s.single() {
		stores = stores[:1]
	}
	var errs []error
	for _, store := range stores {
		if c, ok := store.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
