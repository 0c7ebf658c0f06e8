package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// manner is how a client waits.
type manner int

const (
	patient manner = iota
	givesUp        // cuts the connection at a random moment
	leaves         // cuts it as soon as it sees the header
)

// callTime is how long a call may take before the connection is given up.
const callTime = 30 * time.Second

// call makes one call and records it, unless it never left: a replica that is down
// refuses the connection, and the client goes to another one.
func (l *load) call(ctx context.Context, o opener, v verb, m manner) operation {
	op := operation{opener: o.number, strict: o.strict, verb: v}
	for {
		replica, at, err := l.replicas.pick(ctx, o.random, o.prefer)
		if err != nil {
			return op
		}
		op.replica = uint8(replica)
		if l.send(ctx, &op, o, at, m) {
			l.history.record(o.ticket, op)
			return op
		}
		o.prefer = -1
	}
}

// send reports whether the call may have reached the server.
func (l *load) send(ctx context.Context, op *operation, o opener, at string, m manner) bool {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	method := http.MethodPost
	if op.verb == resuming {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, at+"/v1/download", nil)
	if err != nil {
		l.faults.add("%v", err)
		return true
	}
	req.Header.Set("Authorization", "Bearer "+l.tokens[o.ticket])
	if !op.strict {
		req.Header.Set("Claim-Key", l.claimKey(o))
	}
	if m == givesUp {
		limit := longestWait
		if o.percent(50) {
			limit /= 10
		}
		defer time.AfterFunc(time.Duration(o.random.Int64N(int64(limit))), cancel).Stop()
	}

	op.call = l.history.now()
	resp, err := l.client.Do(req)
	op.answered = l.history.now()
	if err != nil {
		op.answer, op.cause = unknown, broken
		if ctx.Err() != nil && m == givesUp {
			op.cause = aborted
		}
		dial, ok := errors.AsType[*net.OpError](err)
		return op.cause == aborted || !ok || dial.Op != "dial"
	}
	defer resp.Body.Close()
	if m == leaves {
		cancel()
	}
	l.read(op, resp, l.blob(o.ticket))
	return true
}

// maxAnswer is more than any answer has, in bytes.
const maxAnswer = 64 << 10

// read finds out what the answer means.
func (l *load) read(op *operation, resp *http.Response, blob []byte) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	is := func(code string) bool { return err != nil || bytes.Contains(body, []byte(`"code":"`+code+`"`)) }
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		op.answer = served
		if !bytes.HasPrefix(blob, body) || err == nil && len(body) < len(blob) {
			l.faults.add("%s was answered with %d other bytes than were stored", op.verb, len(body))
		}
		return
	case status == http.StatusGone && is("opened"):
		op.answer = refused
	case status == http.StatusServiceUnavailable && is("unavailable") && resp.Header.Get("Retry-After") != "":
		op.answer = unspent
	case status == http.StatusConflict && is("not_opened") && op.verb == resuming:
		op.answer = notOpened
	default:
		op.answer, op.cause = unknown, unexpected
		l.faults.add("%s was answered with %s: %.200s", op.verb, resp.Status, body)
	}
	// P2: who is not served gets none of the bytes.
	if bytes.Contains(body, blob) {
		l.faults.add("%s has the blob's bytes in it", resp.Status)
	}
}

// faults are answers that Mayfly must not give, whatever happens.
type faults struct {
	mu    sync.Mutex
	n     int
	first []string
}

func (f *faults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if len(f.first) < 10 {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}
