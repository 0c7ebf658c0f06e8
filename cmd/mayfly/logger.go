package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// newLogger makes the server's log. Times are UTC, as everywhere. close writes what
// is still held back; a later line is written at once.
func newLogger(w io.Writer, format, level string) (log *slog.Logger, close func() error, err error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, fmt.Errorf("--log-level: %q is none of debug, info, warn, error", level)
	}
	lines := &lineBuffer{w: w}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(logHandler{slog.NewTextHandler(lines, options), lines}), lines.close, nil
	case "json":
		return slog.New(logHandler{slog.NewJSONHandler(lines, options), lines}), lines.close, nil
	}
	return nil, nil, fmt.Errorf("--log-format: %q is neither text nor json", format)
}

// logHandler writes warnings and errors out at once, and all that came before them.
type logHandler struct {
	slog.Handler
	lines *lineBuffer
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	err := h.Handler.Handle(ctx, r)
	if err == nil && r.Level >= slog.LevelWarn {
		err = h.lines.flush()
	}
	return err
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.lines}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.lines}
}

const (
	// heldFor is how long a line may wait for others: a system call for each line
	// would be a twentieth of an open.
	heldFor = 100 * time.Millisecond
	// heldBytes is how much may wait.
	heldBytes = 32 << 10
)

// lineBuffer gathers lines, and writes them together.
type lineBuffer struct {
	w io.Writer

	mu      sync.Mutex
	held    bytes.Buffer
	waiting bool // a flush is on its way
	closed  bool
}

func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held.Write(line)
	if b.closed || b.held.Len() >= heldBytes {
		return len(line), b.write()
	}
	if !b.waiting {
		b.waiting = true
		time.AfterFunc(heldFor, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.waiting = false
			_ = b.write() // there is nowhere left to tell of it
		})
	}
	return len(line), nil
}

func (b *lineBuffer) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.write()
}

func (b *lineBuffer) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.write()
}

// write writes what is held. What cannot be written is given up: it must not gather.
func (b *lineBuffer) write() error {
	defer b.held.Reset()
	_, err := b.held.WriteTo(b.w)
	return err
}
