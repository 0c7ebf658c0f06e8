package main

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// written is where a log goes; it counts the writes.
type written struct {
	mu    sync.Mutex
	text  bytes.Buffer
	times int
	err   error
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.times++
	return w.text.Write(p)
}

// got is what was written, and in how many writes.
func (w *written) got() (text string, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String(), w.times
}

func TestLogLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w written
		log, closeLog, err := newLogger(&w, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			log.With("a", 1).WithGroup("g").Info("line", "b", 2)
		}
		if text, times := w.got(); times != 0 {
			t.Errorf("%d writes at once: %s", times, text)
		}
		time.Sleep(heldFor)
		synctest.Wait()
		text, times := w.got()
		if n := strings.Count(text, "msg=line a=1 g.b=2\n"); n != 3 || times != 1 {
			t.Errorf("after %v: %d lines in %d writes: %s", heldFor, n, times, text)
		}

		// What somebody may be waiting for, or what may be the last, does not wait.
		log.Info("before it")
		log.Warn("a warning")
		if text, _ := w.got(); !strings.Contains(text, "before it") || !strings.HasSuffix(text, "msg=\"a warning\"\n") {
			t.Errorf("a warning waits: %s", text)
		}
		log.Info("the last")
		err = closeLog()
		if text, _ := w.got(); err != nil || !strings.HasSuffix(text, "msg=\"the last\"\n") {
			t.Errorf("close: %v: %s", err, text)
		}
		log.Info("later still")
		if text, _ := w.got(); !strings.HasSuffix(text, "msg=\"later still\"\n") {
			t.Errorf("a line behind close waits: %s", text)
		}
		time.Sleep(time.Minute)
	})
}

func TestLogHoldsLittle(t *testing.T) {
	t.Parallel()
	w := written{err: errors.New("the disk is full")}
	b := &lineBuffer{w: &w}
	b.waiting = true // no flush by time
	line := bytes.Repeat([]byte{'x'}, 1000)
	for range 1000 {
		b.Write(line)
		if b.held.Len() > heldBytes {
			t.Fatalf("%d bytes wait", b.held.Len())
		}
	}
	if err := b.flush(); err == nil && b.held.Len() > 0 {
		t.Error("a failed write is not told")
	}
	w.err = nil
	b.Write([]byte("and on\n"))
	if err := b.close(); err != nil || !strings.HasSuffix(w.text.String(), "and on\n") {
		t.Errorf("it does not recover: %v", err)
	}
}

func TestLogTimesAreUTC(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("east", 3*3600)
	defer func() { time.Local = zone }()
	for _, format := range []string{"text", "json"} {
		var w written
		log, closeLog, err := newLogger(&w, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("line")
		if err := closeLog(); err != nil || !strings.Contains(w.text.String(), "Z") || strings.Contains(w.text.String(), "+03:00") {
			t.Errorf("%s: %v, %s", format, err, w.text.String())
		}
	}
}
