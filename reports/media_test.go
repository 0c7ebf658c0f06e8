package reports_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
	"mayfly/reports"
)

// awaits is a report whose blob was purged before it.
func (h *house) awaits() reports.Report {
	h.t.Helper()
	s := h.sends(photo)
	if err := h.tickets.Unsend(h.t.Context(), tenant, s.ID); err != nil {
		h.t.Fatal(err)
	}
	h.purges()
	r := h.files(s)
	return h.in(r.ID, reports.StateAwaitingMedia)
}

func TestReceiveMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.awaits()
	h.clock.forward(89 * day)
	got, err := h.brings(r.ID, iotest.OneByteReader(strings.NewReader(photo)), int64(len(photo)))
	if err != nil || got.State != reports.StateOpen || got.Evidence != reports.EvidenceStored || !got.MediaUntil.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := h.clock.Now().Add(30 * day); !got.ExpiresAt.Equal(want) {
		t.Errorf("kept until %v, want %v", got.ExpiresAt, want)
	}
	h.logged(r.ID, "filed awaiting_media media_received")
	log := h.log()
	if e := log[len(log)-1]; e.Actor != reports.ActorReporter || *e.Digest != r.SHA256 {
		t.Errorf("%+v", e)
	}
	h.keepsPromises()
	if n := len(h.evidence()); n != 1 {
		t.Errorf("%d copies", n)
	}
	_, err = h.brings(r.ID, strings.NewReader(photo), int64(len(photo)))
	h.refused("twice", err, reports.ErrMediaNotAwaited)
	h.endsEmpty()
}

// TestOtherMedia: nobody brings other bytes than the sender's, not even the reporter (P6).
func TestOtherMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.awaits()
	size := int64(len(photo))
	flipped := []byte(photo)
	flipped[len(flipped)/2] ^= 1
	broken := errors.New("connection reset")
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		want   error
	}{
		"one bit flipped":       {bytes.NewReader(flipped), size, blobstore.ErrDigest},
		"short":                 {strings.NewReader(photo[1:]), size, blobstore.ErrSize},
		"nothing":               {strings.NewReader(""), size, blobstore.ErrSize},
		"long":                  {strings.NewReader(photo + "x"), size, blobstore.ErrSize},
		"announced longer":      {strings.NewReader(photo + "x"), size + 1, blobstore.ErrSize},
		"announced shorter":     {strings.NewReader(photo[1:]), size - 1, blobstore.ErrSize},
		"announced as empty":    {strings.NewReader(""), 0, blobstore.ErrSize},
		"of unknown length":     {strings.NewReader(photo), -1, blobstore.ErrSize},
		"broken off":            {io.MultiReader(strings.NewReader(photo[:9]), iotest.ErrReader(broken)), size, broken},
		"broken off at the end": {io.MultiReader(strings.NewReader(photo), iotest.ErrReader(broken)), size, broken},
	} {
		_, err := h.brings(r.ID, c.body, c.length)
		h.refused(name, err, c.want)
		if _, isBody := errors.AsType[*reports.BodyError](err); isBody != errors.Is(c.want, broken) {
			t.Errorf("%s: %v is a *BodyError: %v", name, err, isBody)
		}
		if n := len(h.evidence()); n != 0 {
			t.Errorf("%s: %d copies", name, n)
		}
		h.in(r.ID, reports.StateAwaitingMedia)
		h.keepsPromises()
	}
	h.logged(r.ID, "filed awaiting_media")
	if _, err := h.brings(r.ID, strings.NewReader(photo), size); err != nil {
		t.Errorf("the right bytes after all: %v", err)
	}
	h.endsEmpty()
}

func TestMediaNotAwaited(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	bring := func(r reports.Report) error {
		_, err := h.brings(r.ID, strings.NewReader(photo), int64(len(photo)))
		return err
	}
	r := h.files(h.sends(photo))
	h.refused("copying", bring(r), reports.ErrMediaNotAwaited)
	h.copies()
	h.refused("open", bring(r), reports.ErrMediaNotAwaited)
	h.decides(h.ann, r.ID, reports.StateDismissed)
	h.refused("dismissed", bring(r), reports.ErrMediaNotAwaited)

	r = h.awaits()
	if err := h.withdraws(r.ID); err != nil {
		t.Fatal(err)
	}
	h.refused("withdrawn", bring(r), reports.ErrWithdrawn)

	r = h.awaits()
	h.clock.forward(r.MediaUntil.Sub(h.clock.Now()) - time.Microsecond)
	late := h.awaits()
	h.clock.forward(time.Microsecond)
	h.refused("forgotten", bring(r), reports.ErrForgotten)
	h.purges()
	h.refused("lapsed", bring(r), reports.ErrForgotten)
	h.in(r.ID, reports.StateLapsed)
	if err := bring(late); err != nil {
		t.Errorf("another, of later: %v", err)
	}
	if got := h.report(r.ID); got.SealedKey != "" || got.Comment != "" || got.ErasedAt.IsZero() || got.Evidence != reports.EvidenceGone {
		t.Errorf("a lapsed report keeps %+v", got)
	}
	h.logged(r.ID, "filed awaiting_media erased")
	h.endsEmpty()
}

// TestMediaTwiceAtOnce: two uploads of the same report, one of which is the evidence.
func TestMediaTwiceAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := h.awaits()
	var first error
	once := sync.OnceFunc(func() { _, first = h.brings(r.ID, strings.NewReader(photo), int64(len(photo))) })
	_, err := h.brings(r.ID, readerFunc(func(p []byte) (int, error) {
		once()
		return 0, io.EOF
	}).then(strings.NewReader(photo)), int64(len(photo)))
	if first != nil {
		t.Errorf("the faster: %v", first)
	}
	h.refused("the slower", err, reports.ErrMediaNotAwaited)
	h.in(r.ID, reports.StateOpen)
	h.logged(r.ID, "filed awaiting_media media_received")
	if n := len(h.evidence()); n != 1 {
		t.Errorf("%d copies", n)
	}
	h.keepsPromises()
	h.endsEmpty()
}

// TestMediaMeetsTheEnd: what becomes of a report while its bytes arrive.
func TestMediaMeetsTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*house, reports.Report)
		want error
	}{
		"withdrawn": {func(h *house, r reports.Report) {
			if err := h.withdraws(r.ID); err != nil {
				h.t.Error(err)
			}
		}, reports.ErrWithdrawn},
		"forgotten": {func(h *house, r reports.Report) {
			h.clock.forward(r.MediaUntil.Sub(h.clock.Now()))
		}, reports.ErrForgotten},
		"lapsed": {func(h *house, r reports.Report) {
			h.clock.forward(r.MediaUntil.Sub(h.clock.Now()))
			h.purges()
		}, reports.ErrForgotten},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			r := h.awaits()
			_, err := h.brings(r.ID, readerFunc(func(p []byte) (int, error) {
				c.end(h, r)
				return 0, io.EOF
			}).then(strings.NewReader(photo)), int64(len(photo)))
			h.refused("the upload", err, c.want)
			if n := len(h.evidence()); n != 0 {
				t.Errorf("%d copies", n)
			}
			h.keepsPromises()
			h.endsEmpty()
		})
	}
}

// readerFunc is an io.Reader that is a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error)    { return f(p) }
func (f readerFunc) then(next io.Reader) io.Reader { return io.MultiReader(f, next) }

// TestMediaFaults lets each call of an upload fail. Then it may be tried again, and in the
// end there is one copy.
func TestMediaFaults(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		h := newHouse(t)
		for n := 1; ; n++ {
			r := h.awaits()
			calls := 0
			next := func() (fails bool) { calls++; return calls == n }
			h.rows.fail(func(string) fault {
				switch fail := next(); {
				case fail && applied:
					return failsButApplied
				case fail:
					return fails
				}
				return passes
			})
			h.blobs.Fail(func(blobstoretest.Call) blobstoretest.Mode {
				switch fail := next(); {
				case fail && applied:
					return blobstoretest.FailedButApplied
				case fail:
					return blobstoretest.Failed
				}
				return blobstoretest.Pass
			})
			_, err := h.brings(r.ID, strings.NewReader(photo), int64(len(photo)))
			h.rows.fail(nil)
			h.blobs.Fail(nil)
			h.keepsPromises()
			if calls < n {
				if err != nil || n < 4 {
					t.Errorf("%d calls, %v", calls, err)
				}
				break
			}
			if _, ok := errors.AsType[*reports.StoreError](err); !ok {
				t.Errorf("call %d: %v", n, err)
			}
			if _, err := h.brings(r.ID, strings.NewReader(photo), int64(len(photo))); err != nil && !errors.Is(err, reports.ErrMediaNotAwaited) {
				t.Errorf("call %d: again: %v", n, err)
			}
			r = h.in(r.ID, reports.StateOpen)
			h.logged(r.ID, "filed awaiting_media media_received")
			h.keepsPromises()
			if n := len(h.evidence()); n > 2 {
				t.Errorf("%d copies", n)
			}
			h.decides(h.ann, r.ID, reports.StateUpheld) // or it would be gone before the rest of the attempts
			h.clock.forward(95 * day)
			h.purges()
			if got := h.evidence(); len(got) != 1 {
				t.Errorf("call %d, applied %v: %d copies remain", n, applied, len(got))
			}
			h.endsEmpty()
		}
	}
}

// A media of no bytes is one, too.
func TestEmptyMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sends("")
	r := h.files(s)
	h.copies()
	h.in(r.ID, reports.StateOpen)

	s = h.sends("")
	if err := h.tickets.Unsend(t.Context(), tenant, s.ID); err != nil {
		t.Fatal(err)
	}
	h.purges()
	r = h.files(s)
	_, err := h.brings(r.ID, strings.NewReader("x"), 0)
	h.refused("a byte too many", err, blobstore.ErrSize)
	if _, err := h.brings(r.ID, strings.NewReader(""), 0); err != nil {
		t.Error(err)
	}
	h.in(r.ID, reports.StateOpen)
	h.keepsPromises()
	h.endsEmpty()
}
