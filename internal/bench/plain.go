package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// servePlain is the other side of every comparison: a file server as one writes it
// in an afternoon, with what net/http gives (sendfile) and without tricks. It
// serves the folder that Mayfly's blobs are in too, and takes uploads to large/
// and small/ below it. It prints its address, and ends when its standard input
// does, so that it never outlives the bench.
func servePlain(ctx context.Context, dir string, out io.Writer) error {
	for _, sub := range []string{"large", "small"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return serveWhileWanted(ctx, &http.Server{Handler: plainHandler(dir), ReadHeaderTimeout: time.Minute}, l, out)
}

// serveWhileWanted prints the listener's address, and serves until ctx or the standard
// input ends.
func serveWhileWanted(ctx context.Context, srv *http.Server, l net.Listener, out io.Writer) error {
	context.AfterFunc(ctx, func() { srv.Close() })
	go func() {
		io.Copy(io.Discard, os.Stdin)
		srv.Close()
	}()
	fmt.Fprintln(out, l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func plainHandler(dir string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{path...}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream") // else it is guessed from the first bytes
		http.ServeFile(w, r, filepath.Join(dir, filepath.FromSlash(r.PathValue("path"))))
	})
	put := func(sub string, put func(dir, name string, body io.Reader) error) {
		mux.HandleFunc("PUT /"+sub+"/{name}", func(w http.ResponseWriter, r *http.Request) {
			if err := put(filepath.Join(dir, sub), r.PathValue("name"), r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusCreated)
		})
	}
	put("large", putHashed)
	put("small", putDurable)
	return mux
}

// putHashed is how a large file is taken in: written and hashed in one pass.
func putHashed(dir, name string, body io.Reader) error {
	h := sha256.New()
	path, err := writeFile(dir, name, body, h)
	if err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(dir, name))
}

// putDurable is how a small file is taken in so that it outlives a power cut.
func putDurable(dir, name string, body io.Reader) error {
	path, err := writeFile(dir, name, body, nil)
	if err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(d.Sync(), d.Close())
}

// writeFile writes body to a temporary file, and to h unless that is nil, and
// syncs the file.
func writeFile(dir, name string, body io.Reader, h io.Writer) (path string, err error) {
	f, err := os.Create(filepath.Join(dir, name+".tmp"))
	if err != nil {
		return "", err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	to := io.Writer(f)
	if h != nil {
		to = io.MultiWriter(f, h)
	}
	if _, err := io.Copy(to, body); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}
