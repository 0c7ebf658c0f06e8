package minioblob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/blobstore/bucket"
	"mayfly/blobstore/minioblob"
	"mayfly/expiry"
	"mayfly/internal/faultproxy"
	"mayfly/internal/sqlstore"
	"mayfly/internal/world"
	"mayfly/tickets"
)

// house is a Service on a real database and a real bucket behind a proxy that makes
// faults.
type house struct {
	*tickets.Service
	t      *testing.T
	db     *sqlstore.Store
	proxy  *faultproxy.Proxy
	direct *bucket.Store // past the proxy

	mu  sync.Mutex
	now time.Time
}

func newHouse(t *testing.T, variable string, versioned bool) *house {
	t.Helper()
	cfg, keys := minioblob.NewTestBucket(t, variable, versioned)
	direct, err := minioblob.Open(cfg, keys, bucket.NewBudget(bucket.DefaultBudget))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, direct: direct, proxy: faultproxy.New(t, "http://"+cfg.Host), now: time.Now().UTC()}
	cfg.Host = h.proxy.URL[len("http://"):]
	blobs, err := minioblob.Open(cfg, keys, bucket.NewBudget(bucket.DefaultBudget))
	if err != nil {
		t.Fatal(err)
	}
	blobs.Limits = bucket.Limits{Request: 3 * time.Second, Transfer: 3 * time.Second, Stall: 300 * time.Millisecond}
	h.db, err = sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "mayfly.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.db.Close() })
	h.Service = &tickets.Service{Store: h.db, Blobs: blobs, Policies: builtin, Now: h.clock}
	return h
}

func builtin(_ context.Context, _, name string) (tickets.Terms, bool, error) {
	p, ok := expiry.ForSender(expiry.Builtin(), name)
	return tickets.Terms{
		Policy: p.Name, UnopenedTTL: p.UnopenedTTL, ReportWindow: p.ReportWindow, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, ok, nil
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) forward(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// uploaded is a blob that was acknowledged.
type uploaded struct {
	tickets.Issued
	body []byte
}

// uploads uploads one blob in one request and one in parts.
func (h *house) uploads() (acknowledged []uploaded) {
	for _, size := range []int{70_000, bucket.PartSize + 12_345} {
		body := make([]byte, size)
		rand.Read(body)
		issued, err := h.UploadNow(h.t.Context(), tickets.Request{
			Tenant: "acme", Size: int64(size), Recipients: []string{"now", "later"},
		}, bytes.NewReader(body))
		if err == nil {
			acknowledged = append(acknowledged, uploaded{issued, body})
		}
	}
	return acknowledged
}

// opens opens a ticket and reads all. begun says that the ticket was spent.
func (h *house) opens(token tickets.Token, claim tickets.ClaimKey) (body []byte, begun bool, err error) {
	d, err := h.Open(h.t.Context(), token, claim)
	if err != nil {
		return nil, false, err
	}
	defer d.Close()
	body, err = io.ReadAll(io.LimitReader(d.Body, d.Length))
	if err == nil && int64(len(body)) < d.Length {
		err = io.ErrUnexpectedEOF
	}
	return body, true, err
}

func (h *house) resumes(token tickets.Token, claim tickets.ClaimKey) ([]byte, error) {
	d, err := h.Resume(h.t.Context(), token, claim, func(b tickets.Blob) (tickets.Span, error) {
		return tickets.Span{Length: b.Size}, nil
	})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(io.LimitReader(d.Body, d.Length))
}

func (h *house) keepsPromises() {
	h.t.Helper()
	if err := world.Check(h.t.Context(), h.db, h.direct); err != nil {
		h.t.Error(err)
	}
}

func (h *house) purges() error {
	p := &expiry.Purge{Queue: h.db, Blobs: h.Blobs, Now: h.clock}
	_, err := p.Run(h.t.Context())
	return err
}

func (h *house) sweeps() error {
	s := &expiry.Sweep{Queue: h.db, Blobs: h.Blobs, Now: h.clock, MinAge: expiry.SweepAge(expiry.Builtin())}
	_, err := s.Run(h.t.Context())
	return err
}

// lives goes through the life of blobs while rule makes faults, and checks that what
// was acknowledged is kept, that no ticket is lost by our side, and that nothing
// remains after a purge and a sweep.
func (h *house) lives(rule func(faultproxy.Call) faultproxy.Fault) {
	t := h.t
	t.Helper()
	claim, err := tickets.ParseClaimKey("AAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	made := rule == nil
	pass := func() { // ends the faults
		for _, call := range h.proxy.Calls() {
			made = made || call.Made
		}
		h.proxy.Fail(nil)
	}
	h.proxy.Fail(rule)
	acknowledged := h.uploads()
	pass()
	h.keepsPromises()
	acknowledged = append(acknowledged, h.uploads()...) // without a fault
	if len(acknowledged) < 2 {
		t.Fatalf("%d uploads succeed without a fault", len(acknowledged))
	}

	for _, u := range acknowledged {
		h.proxy.Fail(rule)
		got, begun, err := h.opens(u.Tickets[0].Token, claim)
		pass()
		switch {
		case err == nil && !bytes.Equal(got, u.body):
			t.Error("other bytes were served as complete (P1)")
		case err != nil && begun:
			if got, err = h.resumes(u.Tickets[0].Token, claim); err != nil || !bytes.Equal(got, u.body) {
				t.Errorf("the rest cannot be fetched by claim key: %v", err)
			}
		case err != nil:
			if got, _, err = h.opens(u.Tickets[0].Token, claim); err != nil || !bytes.Equal(got, u.body) {
				t.Errorf("our fault has cost a ticket (P3): %v", err)
			}
		}
		if got, _, err := h.opens(u.Tickets[1].Token, claim); err != nil || !bytes.Equal(got, u.body) {
			t.Errorf("an acknowledged blob cannot be opened (P1): %v", err)
		}
	}

	h.forward(20 * 24 * time.Hour)
	h.proxy.Fail(rule)
	_, _ = h.purges(), h.sweeps() // they may fail
	pass()
	if !made {
		t.Error("the fault was never made: this tests nothing")
	}
	h.keepsPromises()
	h.forward(25 * time.Hour) // what could not be deleted is put off for some time
	if err := errors.Join(h.purges(), h.sweeps()); err != nil {
		t.Errorf("purge and sweep without a fault: %v", err)
	}
	if err := world.Empty(t.Context(), h.direct); err != nil {
		t.Error(err)
	}
}

// faults are made at each operation: the first time that it is called, which a retry
// outlives, and each time.
var faults = map[faultproxy.Op][]faultproxy.Fault{
	faultproxy.PutObject:               requestFaults,
	faultproxy.CreateMultipartUpload:   answerFaults, // it has no body
	faultproxy.UploadPart:              requestFaults,
	faultproxy.CompleteMultipartUpload: append([]faultproxy.Fault{faultproxy.ErrorIn200, faultproxy.EffectThenErrorIn200}, requestFaults...),
	faultproxy.HeadObject:              answerFaults,
	faultproxy.GetObject: {faultproxy.ResetBefore, faultproxy.ResetResponse, faultproxy.SlowDown, faultproxy.ShortRead,
		faultproxy.FlipResponseByte, faultproxy.Stall, faultproxy.Latency(20 * time.Millisecond)},
	faultproxy.DeleteObjects:        requestFaults,
	faultproxy.ListObjectVersions:   answerFaults,
	faultproxy.ListMultipartUploads: answerFaults,
}

var (
	requestFaults = []faultproxy.Fault{faultproxy.ResetBefore, faultproxy.ResetRequest, faultproxy.ResetResponse, faultproxy.SlowDown,
		faultproxy.EffectThenTimeout(0), faultproxy.FlipRequestByte, faultproxy.Latency(20 * time.Millisecond)}
	answerFaults = []faultproxy.Fault{faultproxy.ResetBefore, faultproxy.ResetResponse, faultproxy.SlowDown, faultproxy.EffectThenTimeout(0)}
)

func TestFaults(t *testing.T) {
	t.Run("AbortMultipartUpload", func(t *testing.T) {
		for _, fault := range answerFaults {
			t.Run(fault.String(), func(t *testing.T) {
				t.Parallel()
				newHouse(t, "MAYFLY_TEST_MINIO", false).lives(func(c faultproxy.Call) faultproxy.Fault {
					switch c.Op {
					case faultproxy.UploadPart: // else nothing is aborted
						return faultproxy.SlowDown
					case faultproxy.AbortMultipartUpload:
						return fault
					}
					return faultproxy.Pass
				})
			})
		}
	})
	for op, list := range faults {
		for _, fault := range list {
			for name, rule := range map[string]func(faultproxy.Call) faultproxy.Fault{
				"once": faultproxy.Nth(op, 1, fault), "always": faultproxy.Always(op, fault),
			} {
				t.Run(fmt.Sprintf("%s/%v/%s", op, fault, name), func(t *testing.T) {
					t.Parallel()
					newHouse(t, "MAYFLY_TEST_MINIO", false).lives(rule)
				})
			}
		}
	}
}

// TestLifeVersioned: the same life where the bucket keeps what was deleted.
func TestLifeVersioned(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"MAYFLY_TEST_MINIO", "MAYFLY_TEST_VERSITYGW"} {
		newHouse(t, variable, true).lives(nil)
	}
}

// TestStalledReader: MinIO answers a DELETE only after every GET of the object has
// ended. A reader that does not go on must not keep the bytes for ever: an unsend
// cuts it, and a purge that cannot wait comes again.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "MAYFLY_TEST_MINIO", false)
	body := make([]byte, 16<<20) // more than the buffers on the way hold
	rand.Read(body)
	stalled := func() (tickets.Issued, *tickets.Download) {
		t.Helper()
		issued, err := h.UploadNow(t.Context(), tickets.Request{Tenant: "acme", Size: int64(len(body))}, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.Open(t.Context(), issued.Tickets[0].Token, tickets.ClaimKey{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return issued, d
	}

	issued, d := stalled()
	if err := h.Unsend(t.Context(), "acme", issued.Blob.ID); err != nil {
		t.Fatal(err)
	}
	<-d.Context().Done() // as the API sees it, which then closes
	if _, err := io.Copy(io.Discard, d.Body); err == nil {
		t.Error("the transfer goes on behind the unsend")
	}
	d.Close()
	if err := h.purges(); err != nil {
		t.Errorf("purge after an unsend: %v", err)
	}
	if err := world.Empty(t.Context(), h.direct); err != nil {
		t.Error(err)
	}

	// Nobody cuts this one: the purge gives up in its time, and the next one, after
	// the reader has gone, deletes.
	_, d = stalled()
	h.forward(20 * 24 * time.Hour)
	if err := h.purges(); err != nil {
		t.Errorf("purge beside a reader: %v", err)
	}
	d.Close()
	h.forward(25 * time.Hour)
	if err := h.purges(); err != nil {
		t.Errorf("purge after the reader: %v", err)
	}
	if err := world.Empty(t.Context(), h.direct); err != nil {
		t.Error(err)
	}
}

// TestLostAnswer: an upload whose answer was lost, and that the SDK sends again, finds
// its own object in its way. That is a success: the caller would else send it all again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, op := range []faultproxy.Op{faultproxy.PutObject, faultproxy.CompleteMultipartUpload} {
		h := newHouse(t, "MAYFLY_TEST_MINIO", false)
		h.proxy.Fail(faultproxy.Nth(op, 1, faultproxy.EffectThenTimeout(0)))
		if n := len(h.uploads()); n != 2 {
			t.Errorf("%s: %d of 2 uploads succeed, although only an answer was lost", op, n)
		}
		h.proxy.Fail(nil)
		h.keepsPromises()
	}
}

// TestCutOffUpload: a process died while it sent the parts of a blob. The purge alone
// removes them, by the record of the attempt: MinIO would not list them to a sweep
// after a restart of its own.
func TestCutOffUpload(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "MAYFLY_TEST_MINIO", false)
	id := uuid.Must(uuid.NewV7())
	key := blobstore.Key(strings.ReplaceAll(id.String(), "-", "") + "-0123456789abcdef")
	due := h.clock().Add(time.Hour)
	if err := h.db.Reserve(t.Context(), []tickets.Attempt{{ID: id, Key: key, Due: due}}); err != nil {
		t.Fatal(err)
	}
	in, out := io.Pipe()
	ctx, die := context.WithCancel(t.Context())
	ended := make(chan error)
	h.proxy.Fail(faultproxy.Always(faultproxy.AbortMultipartUpload, faultproxy.SlowDown)) // the dead abort nothing
	go func() { ended <- h.Blobs.Put(ctx, key, in, 2*bucket.PartSize) }()
	if _, err := out.Write(make([]byte, bucket.PartSize+1)); err != nil {
		t.Fatal(err)
	}
	die()
	out.Close()
	if err := <-ended; err == nil {
		t.Fatal("the upload was not cut off")
	}
	h.proxy.Fail(nil)
	unfinished := func() (n int) {
		for _, err := range h.direct.Unfinished(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if unfinished() != 1 {
		t.Fatalf("%d unfinished uploads, want the one that was cut off", unfinished())
	}
	h.forward(2 * time.Hour)
	if err := h.purges(); err != nil {
		t.Error(err)
	}
	if unfinished() != 0 {
		t.Error("the parts remain (P5)")
	}
}
