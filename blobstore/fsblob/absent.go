package fsblob

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"mayfly/blobstore"
)

// absentFolders is how many folders one Absent looks into at a time.
const absentFolders = 4

// Absent implements blobstore.AbsenceTeller: what it sees it sees in folders that it has
// opened anew, as Delete does.
func (s *Store) Absent(ctx context.Context, keys ...blobstore.Key) map[blobstore.Key]bool {
	absent := make(map[blobstore.Key]bool, len(keys))
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(absentFolders)
	for name, keys := range byFolder(keys, func(error, blobstore.Key) {}) {
		g.Go(func() error {
			gone := s.absentIn(ctx, name, keys)
			mu.Lock()
			defer mu.Unlock()
			for _, key := range gone {
				absent[key] = true
			}
			return nil
		})
	}
	g.Wait() // always nil
	return absent
}

// absentIn are those of keys, which share the folder name, that are not there.
func (s *Store) absentIn(ctx context.Context, name string, keys []blobstore.Key) (gone []blobstore.Key) {
	if ctx.Err() != nil {
		return nil
	}
	dir, err := s.root.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		return keys
	}
	if err != nil {
		return nil
	}
	defer dir.Close()
	for _, key := range keys {
		if _, err := dir.Lstat(string(key)); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, key)
		}
	}
	return gone
}

// byFolder divides keys by their folders; refuse is told of what is no key.
func byFolder(keys []blobstore.Key, refuse func(error, blobstore.Key)) map[string][]blobstore.Key {
	folders := make(map[string][]blobstore.Key)
	for _, key := range keys {
		if _, err := blobstore.ParseKey(string(key)); err != nil {
			refuse(err, key)
			continue
		}
		folders[folder(key)] = append(folders[folder(key)], key)
	}
	return folders
}
