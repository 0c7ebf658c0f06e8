package bucket

import (
	"context"
	"io"
	"iter"
	"time"
)

// Client is what an SDK does for a Store: one S3 operation a method, retried as the
// SDK does where a retry is harmless. Names are whole object names, prefix included.
// Errors are blobstore.ErrNotFound, ErrExists and ErrNoSpace where they mean that.
// All methods may be called at the same time.
type Client interface {
	// Put makes an object in one request: ErrExists if there is one.
	Put(ctx context.Context, name string, body []byte) error
	// Begin begins a multipart upload.
	Begin(ctx context.Context, name string) (upload string, err error)
	// PutPart sends a part, counted from 1. The tag may hold more behind a space: what
	// Complete needs besides.
	PutPart(ctx context.Context, name, upload string, number int, body []byte) (etag string, err error)
	// CopyPart makes a part of length bytes of src, from offset.
	CopyPart(ctx context.Context, name, upload string, number int, src Source, offset, length int64) (etag string, err error)
	// Complete makes an object of the parts: ErrExists if there is one.
	Complete(ctx context.Context, name, upload string, etags []string) error
	// Abort ends a multipart upload and frees its parts. Idempotent.
	Abort(ctx context.Context, name, upload string) error
	// Copy copies an object of up to MaxCopy bytes on the server.
	Copy(ctx context.Context, dst string, src Source) error
	// Source is an object of another Client, or of this one, as Copy and CopyPart take
	// it. false unless both are set up for the same server, as the same user of it: what
	// this one can write must be able to read that. Nothing is asked of the server.
	Source(of Client, name string) (Source, bool)

	// Get reads an object from offset, which is less than its size, or 0.
	Get(ctx context.Context, name string, offset int64) (io.ReadCloser, Object, error)
	// Stat is an object without its bytes.
	Stat(ctx context.Context, name string) (Object, error)

	// Delete deletes what it is given, 1000 at the most, and says for each how it
	// went. An object without a Version is the newest one; on a versioned bucket that
	// leaves a marker, which is told by Marked and Marker.
	Delete(ctx context.Context, objects []Object) []Deleted
	// Versions yields the versions and delete markers of all names that begin with
	// prefix, by name.
	Versions(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// VersionsAfter is Versions, of names that come after a name, for whoever expects few:
	// it asks for FewVersions at a time.
	VersionsAfter(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Uploads yields the open multipart uploads of names that begin with prefix.
	Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error]

	// URL is where an object would be, for whoever has no credentials.
	URL(name string) string
	// Bucket says how the bucket is set up. What the server does not answer counts as
	// no: the canary of Examine finds out.
	Bucket(ctx context.Context) (Settings, error)
}

// FewVersions is how many versions an answer to VersionsAfter has at the most.
const FewVersions = 50

// MaxCopy is how much the server copies in one request (S3's own limit).
const MaxCopy = 5 << 30

// Source is an object that is copied, in whichever bucket of the server.
type Source struct{ Bucket, Name string }

// Object is an object, or one version of it.
type Object struct {
	Name       string
	Version    string // empty: of a bucket without versions, or the newest
	Marker     bool   // a delete marker: no bytes
	Size       int64
	ModifiedAt time.Time
	ETag       string // without quotes
}

// Upload is a multipart upload that is open.
type Upload struct {
	Name, ID string
	BegunAt  time.Time
}

// Deleted is the outcome of one deletion.
type Deleted struct {
	Err error
	// Marked: the bytes are still there, behind a delete marker.
	Marked bool
	// Marker is the version of that marker, if the server tells.
	Marker string
}

// Settings are what a bucket does by itself.
type Settings struct {
	Versioned bool // now, or once: suspended
	Locked    bool // object lock: what it holds cannot be deleted
	// Lifecycle says whether the bucket has rules of its own, for people.
	Lifecycle string
}
