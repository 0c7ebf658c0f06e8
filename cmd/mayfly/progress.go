package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a transfer is, if a person is looking at stderr. Its
// zero value shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

func (t terminal) progress(what string, size int64) progress {
	return t.bar(what, size, progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))
}

// counting is progress in things and not in bytes.
func (t terminal) counting(what string, things int64) progress {
	return t.bar(what, things, progressbar.OptionShowCount())
}

func (t terminal) bar(what string, end int64, options ...progressbar.Option) progress {
	if !isTerminal(t.Err) || end == 0 {
		return progress{}
	}
	return progress{progressbar.NewOptions64(end, append(options,
		progressbar.OptionSetWriter(t.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)...)}
}

// at moves it to n bytes.
func (p progress) at(n int64) {
	if p.bar != nil {
		_ = p.bar.Set64(n)
	}
}

// clear makes the line free for a message, or for the shell.
func (p progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// retrying tells why a call is made again.
func (p progress) retrying(t terminal) func(error, time.Duration) {
	return func(err error, wait time.Duration) {
		p.clear()
		fmt.Fprintf(t.Err, "%v: again in %s\n", err, wait.Round(100*time.Millisecond))
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// reading moves the progress by what is read.
func (p progress) reading(r io.Reader) io.Reader { return &progressReader{r: r, p: p} }

type progressReader struct {
	r io.Reader
	p progress
	n int64
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += int64(n)
	r.p.at(r.n)
	return n, err
}
