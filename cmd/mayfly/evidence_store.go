package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"mayfly/blobstore/apart"
	"mayfly/blobstore/minioblob"
	"mayfly/blobstore/s3blob"
)

// evidenceName is the folder, or the prefix in a bucket, of the evidence of reports
// where --evidence names no other.
const evidenceName = "evidence"

// evidenceURL is where evidence is kept: beside the media, if nothing else is said.
func (f storeFlags) evidenceURL() (string, error) {
	if f.Evidence != "" {
		return f.Evidence, nil
	}
	scheme, rest, _ := strings.Cut(f.Blobs, "://")
	switch scheme {
	case minioblob.Scheme, s3blob.Scheme:
		address, query, hasQuery := strings.Cut(rest, "?")
		parts := strings.SplitN(strings.TrimRight(address, "/"), "/", bucketParts(scheme))
		if len(parts) < bucketParts(scheme) {
			parts = append(parts, evidenceName)
		} else {
			parts[len(parts)-1] += "-" + evidenceName
		}
		beside := scheme + "://" + strings.Join(parts, "/")
		if hasQuery {
			beside += "?" + query
		}
		return beside, nil
	}
	path, err := pathOf(f.Blobs)
	if err != nil {
		return "", err
	}
	return scheme + "://" + filepath.Join(filepath.Dir(path), evidenceName), nil
}

// bucketParts is in how many parts the address of a bucket with a prefix falls:
// minio://host/bucket/prefix, s3://bucket/prefix.
func bucketParts(scheme string) int {
	if scheme == minioblob.Scheme {
		return 3
	}
	return 2
}

// openStores opens the media and the evidence as one store.
func (f storeFlags) openStores(ctx context.Context) (*apart.Store, error) {
	address, err := f.evidenceURL()
	if err != nil {
		return nil, usageError{fmt.Errorf("--blobs: %w", err)}
	}
	if err := checkApart(f.Blobs, address); err != nil {
		return nil, usageError{fmt.Errorf("--evidence: %w", err)}
	}
	media, err := openBlobs(ctx, "blobs", f.Blobs)
	if err != nil {
		return nil, err
	}
	evidence, err := openBlobs(ctx, evidenceName, address)
	if err != nil {
		return nil, errors.Join(err, media.Close())
	}
	return &apart.Store{Media: media, Evidence: evidence}, nil
}

// checkEvidence says what is wrong with the address of the evidence. What is wrong with
// that of the blobs is told elsewhere.
func (f storeFlags) checkEvidence() error {
	if checkBlobs(f.Blobs) != nil {
		return nil
	}
	address, err := f.evidenceURL()
	if err != nil {
		return err
	}
	if err := checkBlobs(address); err != nil {
		return err
	}
	return checkApart(f.Blobs, address)
}

// checkApart refuses two addresses of one place: each store would take the other's bytes
// for its own.
func checkApart(blobs, evidence string) error {
	if place(blobs) == place(evidence) {
		return fmt.Errorf("%q is where --blobs are: evidence needs a folder, bucket or prefix of its own", redactedURL(evidence))
	}
	return nil
}

// place is an address without what does not change where it leads.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host + "/" + strings.Trim(filepath.Clean("/"+u.Path), "/") + "?" + u.Query().Get("endpoint")
}
