package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"mayfly/blobstore"
)

// Finding is one thing that was looked at.
type Finding struct {
	Name string
	// Text says what was found.
	Text string
	// Err breaks a promise, and says how to mend it; nil if all is well.
	Err error
}

// Check implements blobstore.Store: the first of Examine's findings that breaks a
// promise.
func (s *Store) Check(ctx context.Context) error {
	for _, f := range s.Examine(ctx) {
		if f.Err != nil {
			return fmt.Errorf("check the bucket: %s: %w", f.Name, f.Err)
		}
	}
	return nil
}

// Examine asks what the bucket does by itself, and lets a canary go through all that
// a blob goes through. After a finding without which the next make no sense it stops.
// Nothing is left behind.
func (s *Store) Examine(ctx context.Context) (all []Finding) {
	var random [16]byte
	rand.Read(random[:])
	e := &examination{Store: s, key: blobstore.Key("check-" + hex.EncodeToString(random[:])), body: []byte(rand.Text())}
	defer func() {
		ctx, cancel := tidy(ctx)
		defer cancel()
		_ = s.Delete(ctx, e.key)
	}()
	for _, step := range []struct {
		name  string
		vital bool
		look  func(context.Context) (string, error)
	}{
		{"bucket", true, e.settings},
		{"object lock", false, e.lock},
		{"write", true, e.write},
		{"write once", false, e.writeOnce},
		{"clock", false, e.clock},
		{"read", false, e.read},
		{"public access", false, e.public},
		{"list", false, e.list},
		{"unfinished uploads", false, e.uploads},
		{"delete", false, e.delete},
		{"versioning", false, e.versions},
		{"lifecycle", false, e.lifecycle},
	} {
		text, err := step.look(ctx)
		all = append(all, Finding{step.name, text, err})
		if err != nil && step.vital {
			break
		}
	}
	return all
}

// examination is the state of one Examine.
type examination struct {
	*Store
	key   blobstore.Key
	body  []byte
	asked Settings
}

// allow adds the permission that is missing, most often, when err comes up.
func allow(err error, permission string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (if that is a lack of permission, allow %s)", err, permission)
}

func (e *examination) settings(ctx context.Context) (string, error) {
	ctx, cancel := e.Limits.request(ctx)
	defer cancel()
	var err error
	e.asked, err = e.client.Bucket(ctx)
	return "is there", err
}

func (e *examination) lock(context.Context) (string, error) {
	if e.asked.Locked {
		return "on", errors.New("object lock is on, so that nothing can be deleted before its time: use a bucket without it")
	}
	return "off", nil
}

func (e *examination) write(ctx context.Context) (string, error) {
	err := e.Put(ctx, e.key, bytes.NewReader(e.body), int64(len(e.body)))
	return "a canary was written", allow(err, "s3:PutObject on "+e.prefix+"*")
}

func (e *examination) writeOnce(ctx context.Context) (string, error) {
	other := e.body[1:] // of the same bytes a Put would think that they are its own
	switch err := e.Put(ctx, e.key, bytes.NewReader(other), int64(len(other))); {
	case err == nil:
		return "no", errors.New("the server lets one blob replace another: it does not know If-None-Match on PUT; use one that does")
	case !errors.Is(err, blobstore.ErrExists):
		return "", err
	}
	return "a second blob of one name is refused", nil
}

// maxSkew is a third of what S3 accepts between its clock and ours.
const maxSkew = 5 * time.Minute

func (e *examination) clock(ctx context.Context) (string, error) {
	o, err := e.stat(ctx, e.name(e.key))
	if err != nil {
		return "", err
	}
	skew := time.Since(o.ModifiedAt).Round(time.Second)
	if skew.Abs() > maxSkew {
		return "", fmt.Errorf("this machine's clock and the server's differ by %v; S3 refuses requests from 15 minutes on: set both by NTP", skew)
	}
	return fmt.Sprintf("differs by about %v", skew), nil
}

func (e *examination) read(ctx context.Context) (string, error) {
	r, _, err := e.Open(ctx, e.key, 1)
	if err != nil {
		return "", allow(err, "s3:GetObject on "+e.prefix+"*")
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, e.body[1:]) {
		err = errors.New("a blob does not read as it was written")
	}
	return "a part of the canary reads as it was written", err
}

// public reads the canary as a stranger would. P2: of what anybody can read a ticket
// decides nothing.
func (e *examination) public(ctx context.Context) (string, error) {
	ctx, cancel := e.Limits.request(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.client.URL(e.name(e.key)), nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("a request without credentials: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 300 {
		return "", errors.New("anybody can read the bucket, without a ticket: remove its public policy, and block public access")
	}
	return fmt.Sprintf("a request without credentials is refused (%d)", answer.StatusCode), nil
}

func (e *examination) list(ctx context.Context) (string, error) {
	versions, err := e.versionsOf(ctx, e.name(e.key))
	if err == nil && (len(versions) == 0 || len(e.absentOf(ctx, []blobstore.Key{e.key})) > 0) {
		err = errors.New("a blob that was written is not listed")
	}
	return "the canary is listed", allow(err, "s3:ListBucket and s3:ListBucketVersions on the bucket")
}

// uploads begins an upload, finds it listed, and aborts it.
func (e *examination) uploads(ctx context.Context) (string, error) {
	const permissions = "s3:AbortMultipartUpload and s3:ListMultipartUploadParts on the blobs, and s3:ListBucketMultipartUploads on the bucket"
	name := e.name(e.key)
	upload, err := e.begin(ctx, name)
	if err != nil {
		return "", allow(err, permissions)
	}
	defer e.abort(ctx, name, upload)
	listed := func() (bool, error) {
		ctx, cancel := e.Limits.request(ctx)
		defer cancel()
		var ids []string
		for u, err := range e.client.Uploads(ctx, name) {
			if err != nil {
				return false, err
			}
			ids = append(ids, u.ID)
		}
		return slices.Contains(ids, upload), nil
	}
	there, err := listed()
	if err == nil && !there {
		err = errors.New("an unfinished upload is not listed, so that a sweep would never remove it")
	}
	if err == nil {
		err = e.client.Abort(ctx, name, upload)
	}
	if err == nil {
		there, err = listed()
	}
	if err == nil && there {
		err = errors.New("an unfinished upload is still listed after it was aborted")
	}
	return "are listed, and gone when aborted", allow(err, permissions)
}

func (e *examination) delete(ctx context.Context) (string, error) {
	err := e.Delete(ctx, e.key)
	if err == nil {
		_, statErr := e.stat(ctx, e.name(e.key))
		if !errors.Is(statErr, blobstore.ErrNotFound) {
			err = fmt.Errorf("a deleted blob is still there (%v)", statErr)
		}
	}
	return "the canary was deleted", allow(err, "s3:DeleteObject and s3:DeleteObjectVersion on "+e.prefix+"*")
}

// versions proves on the canary that a deletion leaves none (P5).
func (e *examination) versions(ctx context.Context) (string, error) {
	versions, err := e.versionsOf(ctx, e.name(e.key))
	switch {
	case err != nil:
		return "", err
	case len(versions) > 0:
		return "", fmt.Errorf("version %q of a deleted blob is still there: use a bucket without versioning", versions[0].Version)
	case e.asked.Versioned:
		return "on; the canary left no version behind, and every deletion costs more requests", nil
	}
	return "off", nil
}

func (e *examination) lifecycle(context.Context) (string, error) {
	return e.asked.Lifecycle, nil
}
