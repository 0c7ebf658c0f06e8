package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/fsblob"
	"mayfly/blobstore/minioblob"
	"mayfly/blobstore/s3blob"
	"mayfly/internal/sqlstore"
)

// openDatabase opens the metadata store, makes it if there is none, and brings its
// schema up to date.
func openDatabase(ctx context.Context, address string) (*sqlstore.Store, error) {
	return openDatabaseAs(ctx, sqlstore.Config{URL: address, Migrate: true})
}

// existingDatabase opens the metadata store only if it is there: a purge or sweep
// of a mistyped one would find nothing, or nothing but orphans.
func existingDatabase(ctx context.Context, address string) (*sqlstore.Store, error) {
	return openDatabaseAs(ctx, sqlstore.Config{URL: address})
}

func openDatabaseAs(ctx context.Context, cfg sqlstore.Config) (*sqlstore.Store, error) {
	if err := checkDatabase(cfg.URL); err != nil {
		return nil, usageError{fmt.Errorf("--database: %w", err)}
	}
	return sqlstore.Open(ctx, cfg)
}

// checkDatabase says what is wrong with the address of a database.
func checkDatabase(address string) error {
	err := sqlstore.CheckURL(address)
	if err != nil {
		return fmt.Errorf("%q: %w", redactedURL(address), err)
	}
	return nil
}

// closingStore is a blob store that holds something open.
type closingStore interface {
	blobstore.Store
	io.Closer
}

// partBudget bounds the memory of uploads to buckets, over the whole process.
var partBudget = sync.OnceValue(func() *bucket.Budget { return bucket.NewBudget(bucket.DefaultBudget) })

// openBlobs opens the blob store that the flag's address names by its scheme.
func openBlobs(ctx context.Context, flag, address string) (closingStore, error) {
	if err := checkBlobs(address); err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	access, secret := os.Getenv(s3AccessKey), os.Getenv(s3SecretKey)
	switch scheme, _, _ := strings.Cut(address, "://"); scheme {
	case minioblob.Scheme:
		cfg, err := minioblob.Parse(address)
		if err != nil {
			return nil, err
		}
		return minioblob.Open(cfg, minioblob.Credentials{AccessKey: access, SecretKey: secret}, partBudget())
	case s3blob.Scheme:
		return s3blob.Open(ctx, address, s3blob.Credentials{AccessKey: access, SecretKey: secret}, partBudget())
	default:
		path, err := pathOf(address)
		if err != nil {
			return nil, err
		}
		return fsblob.Open(path)
	}
}

// checkBlobs says what is wrong with the address of a blob store, and with the keys.
func checkBlobs(address string) error {
	if (os.Getenv(s3AccessKey) == "") != (os.Getenv(s3SecretKey) == "") {
		return fmt.Errorf("%s and %s belong together: set both, or none", s3AccessKey, s3SecretKey)
	}
	var err error
	switch scheme, _, _ := strings.Cut(address, "://"); scheme {
	case "file":
		_, err = pathOf(address)
	case minioblob.Scheme:
		_, err = minioblob.Parse(address)
	case s3blob.Scheme:
		err = s3blob.CheckURL(address)
	default:
		return fmt.Errorf("%q is not a URL like file://PATH, minio://HOST:PORT/BUCKET or s3://BUCKET?region=REGION", redactedURL(address))
	}
	if err != nil {
		return fmt.Errorf("%q: %w", redactedURL(address), err)
	}
	return nil
}

// pathOf is the path of an address like file://relative/path or file:///absolute, as
// it is written, without escapes: package sqlstore reads its addresses alike, and the
// key of the first start must lie beside the database.
func pathOf(address string) (string, error) {
	_, path, _ := strings.Cut(address, "://")
	if path == "" || strings.ContainsAny(path, "?#\x00") {
		return "", fmt.Errorf("%q has no usable path", redactedURL(address))
	}
	return filepath.Clean(path), nil
}

// redactedURL is an address without its password, for people and logs (P8). Of a
// database's options none is shown: they may hold one too.
func redactedURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable)"
	}
	if strings.HasPrefix(u.Scheme, "postgres") {
		u.RawQuery = ""
	}
	return u.Redacted()
}

// open opens both stores, for a command that works on them itself.
func (f storeFlags) open(ctx context.Context) (_ *sqlstore.Store, _ blobstore.Store, closeStores func(), err error) {
	db, err := existingDatabase(ctx, f.Database)
	if err != nil {
		return nil, nil, nil, err
	}
	blobs, err := f.openStores(ctx)
	if err != nil {
		return nil, nil, nil, errors.Join(err, db.Close())
	}
	return db, blobs, func() { blobs.Close(); db.Close() }, nil
}
