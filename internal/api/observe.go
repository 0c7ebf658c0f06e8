package api

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"mayfly/internal/openapi"
)

// Header values that many answers share. Nobody may write to them.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// statusClientGone is what the log and the metrics call a request whose client
// broke it off, as nginx does. It is never sent.
const statusClientGone = 499

// observe gives a request its call and, when it is over, its line in the log and
// its count.
func (e *endpoints) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{
			ResponseWriter: w,
			control:        http.NewResponseController(w),
			in:             r,
			started:        time.Now(),
			id:             newRequestID(),
			op:             e.stray,
		}
		defer e.finish(c)

		h := w.Header()
		h["X-Request-Id"] = []string{c.id}
		h["X-Content-Type-Options"] = noSniff
		h["Cache-Control"] = noStore
		if r.ContentLength != 0 {
			// Also a body that no handler reads: net/http reads the rest of it before
			// it answers, with no deadline of its own.
			_ = c.control.SetReadDeadline(c.started.Add(e.limits.Stall))
		}
		next.ServeHTTP(c, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// finish ends a call. It recovers a panic, and begins another one to abort the
// connection where the answer would look complete but is not.
func (e *endpoints) finish(c *call) {
	if c.body != nil {
		c.body.release()
	}
	switch v := recover(); {
	case v == nil:
		if c.status == 0 {
			c.status = http.StatusOK // net/http's own rule for a handler that writes nothing
		}
		e.record(c)
	case v == http.ErrAbortHandler:
		e.record(c)
		panic(v)
	default:
		c.err = fmt.Errorf("panic: %v at %s", v, callers())
		if c.status == 0 {
			e.answer(c, problemOf(c.err))
			e.record(c)
			return
		}
		c.code = string(internal.code)
		e.record(c)
		panic(http.ErrAbortHandler)
	}
}

// callers is where a panic came from: functions and lines. A runtime stack would
// also have the arguments, tokens among them.
func callers() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])]) // from the panic on
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line)
		if !more {
			return b.String()
		}
		b.WriteString(" < ")
	}
}

// record writes the line and counts. The path, the query, the address, the header
// and every id stay out of both (P8).
func (e *endpoints) record(c *call) {
	took := time.Since(c.started)
	status := c.status
	if status == 0 {
		status = statusClientGone
	}
	c.op.metrics.Observe(status, took)

	level := slog.LevelInfo
	switch failed := status >= 500 && c.code != string(openapi.ProblemCodeModerationOff) || c.err != nil; {
	case failed && c.op.probe:
		level = slog.LevelWarn // a server that drains, or waits for its database
	case failed:
		level = slog.LevelError
	case c.op.probe:
		level = slog.LevelDebug
	}
	ctx := c.in.Context()
	if !e.log.Enabled(ctx, level) {
		return
	}
	code := c.code
	if code == "" {
		code = "ok"
	}
	var read int64
	if c.body != nil {
		read = c.body.read
	}
	attrs := [...]slog.Attr{
		slog.String("method", knownMethod(c.in.Method)),
		slog.String("route", c.op.name),
		slog.Int("status", status),
		slog.String("code", code),
		slog.Int64("bytes_in", read),
		slog.Int64("bytes_out", c.written),
		slog.Duration("took", took),
		slog.String("request_id", c.id),
		slog.Any("error", c.err),
	}
	n := len(attrs)
	if c.err == nil {
		n--
	}
	// Not by the logger, which would look for the line of code that logs.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(attrs[:n]...)
	_ = e.log.Handler().Handle(ctx, line) // as the logger does: there is nowhere left to tell of it
}

// knownMethod is the method, unless the client made one up: a log and its readers
// should not meet what a stranger wrote.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// newRequestID is 64 random bits. One that a client sends along is ignored: it
// could be anything, another client's id among it.
func newRequestID() string {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	return hex.EncodeToString(id[:])
}
