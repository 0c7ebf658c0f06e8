package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"mayfly/blobstore"
)

const largeSize = 1 << 30

// opensPerRun is how often a run opens the large blob: once takes less than a
// second.
const opensPerRun = 4

// newBlock is 1 MiB of noise, of which the large payloads are made.
func newBlock() []byte {
	block := make([]byte, 1<<20)
	rand.Read(block) // never fails: crypto/rand ends the program instead
	return block
}

func (b *bench) largePayload() payload {
	return newPayload(newBlock(), int64(b.scaled(largeSize>>20))<<20)
}

func largeOpen(ctx context.Context, b *bench, r *report) error {
	return b.withServers(ctx, func(s *servers) error { return s.largeOpen(ctx, r) })
}

func (s *servers) largeOpen(ctx context.Context, r *report) error {
	body := s.b.largePayload()
	var blob created
	if err := s.upload(ctx, body, opensPerRun*(s.b.runs+1), &blob); err != nil {
		return err
	}
	paths, err := s.blobPaths()
	if err != nil {
		return err
	}
	path, ok := paths[blob.ID]
	if !ok {
		return fmt.Errorf("blob %s has no file", blob.ID)
	}
	plain, mayfly, err := s.compare(ctx, comparison{
		before: func(context.Context, int) error { return s.readThrough(path) },
		plain: repeated(body, func(ctx context.Context, _ int, w io.Writer) error {
			return s.get(ctx, path, w)
		}),
		mayfly: repeated(body, func(ctx context.Context, i int, w io.Writer) error {
			return s.open(ctx, blob.Tickets[i].Token, w)
		}),
	})
	if err != nil {
		return err
	}
	r.add(newFigure("large-open", sizeText(body.size)+" download, one client", bytesPerSecond, plain, mayfly, 0.9))
	return nil
}

// repeated fetches body opensPerRun times; in the warm-up it also compares.
func repeated(body payload, fetch func(ctx context.Context, i int, w io.Writer) error) turn {
	return func(ctx context.Context, run int) (float64, error) {
		for i := range opensPerRun {
			w, same := io.Discard, func() error { return nil }
			if run == 0 {
				w, same = body.check()
			}
			if err := fetch(ctx, run*opensPerRun+i, w); err != nil {
				return 0, err
			}
			if err := same(); err != nil {
				return 0, err
			}
		}
		return float64(opensPerRun * body.size), nil
	}
}

func largeUpload(ctx context.Context, b *bench, r *report) error {
	return b.withServers(ctx, func(s *servers) error { return s.largeUpload(ctx, r) })
}

func (s *servers) largeUpload(ctx context.Context, r *report) error {
	body := s.b.largePayload()
	var blob created
	plain, mayfly, err := s.compare(ctx, comparison{
		plain: func(ctx context.Context, _ int) (float64, error) {
			return float64(body.size), s.put(ctx, "large/blob", body)
		},
		mayfly: func(ctx context.Context, _ int) (float64, error) {
			return float64(body.size), s.upload(ctx, body, 1, &blob)
		},
		// What was uploaded is deleted again, and the disk left in peace.
		after: func(ctx context.Context) error {
			if err := s.discard(ctx, &blob); err != nil {
				return err
			}
			return s.removePlain("large")
		},
	})
	if err != nil {
		return err
	}
	r.add(newFigure("large-upload", sizeText(body.size)+" upload, one client", bytesPerSecond, plain, mayfly, 0.8))
	return nil
}

// discard deletes a blob, if it was uploaded, and forgets it.
func (s *servers) discard(ctx context.Context, blob *created) error {
	if blob.ID == uuid.Nil {
		return nil
	}
	if err := s.unsend(ctx, blob.ID); err != nil {
		return err
	}
	*blob = created{}
	return s.purge(ctx)
}

// blobPaths finds the file of every blob, as a path below the servers' folder.
func (s *servers) blobPaths() (map[uuid.UUID]string, error) {
	paths := make(map[uuid.UUID]string)
	err := filepath.WalkDir(filepath.Join(s.dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if id, ok := blobstore.Key(d.Name()).Owner(); ok {
			rel, err := filepath.Rel(s.dir, path)
			paths[id] = filepath.ToSlash(rel)
			return err
		}
		return nil
	})
	return paths, err
}

// readThrough brings a file into memory, from where both sides then send it: what
// the disk can do is not in question.
func (s *servers) readThrough(path string) error {
	f, err := os.Open(filepath.Join(s.dir, path))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// removePlain empties one of the plain server's folders.
func (s *servers) removePlain(sub string) error {
	dir := filepath.Join(s.dir, sub)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// sizeText is a size as a person reads it.
func sizeText(n int64) string {
	switch {
	case n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
