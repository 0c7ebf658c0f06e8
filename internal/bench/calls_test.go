package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	block := make([]byte, 1000)
	rand.Read(block)
	for _, blocks := range []int{1, 3} {
		p := newPayload(block, int64(blocks*len(block)))
		if err := iotest.TestReader(p.reader(), bytes.Repeat(block, blocks)); err != nil {
			t.Errorf("%d blocks: %v", blocks, err)
		}
		w, same := p.check()
		io.Copy(w, p.reader())
		if err := same(); err != nil {
			t.Error(err)
		}
		w.Write([]byte{0})
		if same() == nil {
			t.Error("one byte too many is not seen")
		}
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	var seen [100]atomic.Int64
	if err := many(t.Context(), 8, len(seen), func(_ context.Context, i int) error { seen[i].Add(1); return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Errorf("%d was done %d times", i, n)
		}
	}
	broken := errors.New("broken")
	if err := many(t.Context(), 8, 100, func(_ context.Context, i int) error {
		if i == 7 {
			return broken
		}
		return nil
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestPlainServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, sub := range []string{"large", "small"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(plainHandler(dir))
	defer srv.Close()
	s := &servers{dir: dir, plainURL: srv.URL, client: newClient()}
	defer s.client.CloseIdleConnections()
	body := newSmallPayload()
	for _, path := range []string{"large/x", "small/x"} {
		if err := s.put(t.Context(), path, body); err != nil {
			t.Fatal(err)
		}
		w, same := body.check()
		if err := s.get(t.Context(), path, w); err != nil {
			t.Fatal(err)
		}
		if err := same(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := s.removePlain("large"); err != nil {
		t.Fatal(err)
	}
	if err := s.get(t.Context(), "large/x", io.Discard); err == nil {
		t.Error("a removed file is served")
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	for _, c := range []struct {
		getenv func(string) string
		want   int
	}{{nothing, len(scenarios) - 10}, {func(string) string { return "set" }, len(scenarios) - 6}} {
		all, err := chosen(nil, c.getenv)
		if err != nil || len(all) != c.want {
			t.Errorf("without names: %d scenarios, not %d, %v", len(all), c.want, err)
		}
	}
	if _, err := chosen([]string{"small-open", "s3-large"}, nothing); err == nil || !strings.Contains(err.Error(), minioVariable) {
		t.Errorf("without MinIO: %v", err)
	}
	two, err := chosen([]string{"small-open", "large-open"}, nothing)
	if err != nil || len(two) != 2 || two[0].name != "large-open" || two[1].name != "small-open" {
		t.Errorf("got %v, %v", two, err)
	}
	if _, err := chosen([]string{"small"}, nothing); err == nil {
		t.Error("an unknown name is taken")
	}
}
