package bucket

import (
	"context"
	"net/url"
	"strings"
	"time"

	"mayfly/blobstore"
)

// Store is a blobstore.Store in a bucket. New makes one.
type Store struct {
	// Limits bound the requests. Set them before the Store is used.
	Limits Limits
	// PublicEndpoint is where clients reach the server, for the requests that are
	// presigned for them; nil if that is where the Store does. Set it before use.
	PublicEndpoint *url.URL

	client Client
	prefix string // empty, or with a slash at its end
	budget *Budget
}

var (
	_ blobstore.Store           = (*Store)(nil)
	_ blobstore.CountingDeleter = (*Store)(nil)
	_ blobstore.AbsenceTeller   = (*Store)(nil)
	_ blobstore.Unfinisher      = (*Store)(nil)
	_ blobstore.Importer        = (*Store)(nil)
)

// New keeps blobs behind client, under prefix, which may be empty. Uploads share the
// budget.
func New(client Client, prefix string, budget *Budget) *Store {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Store{client: client, prefix: prefix, budget: budget}
}

// Close implements io.Closer; there is nothing to close.
func (s *Store) Close() error { return nil }

func (s *Store) name(key blobstore.Key) string { return s.prefix + string(key) }

// key is the key that an object's name is made of; false if it is none of ours.
func (s *Store) key(name string) (blobstore.Key, bool) {
	rest, ok := strings.CutPrefix(name, s.prefix)
	if !ok {
		return "", false
	}
	key, err := blobstore.ParseKey(rest)
	return key, err == nil
}

// tidyTimeout bounds what is cleaned up after the caller has gone.
const tidyTimeout = 30 * time.Second

// tidy is a context for what must be cleaned up although ctx may have ended.
func tidy(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
}
