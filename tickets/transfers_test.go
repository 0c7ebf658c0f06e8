package tickets

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// TestServing: while a transfer lasts, and for a second after it has begun.
func TestServing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s Service
		if s.Serving() {
			t.Error("before the first transfer")
		}
		for range 2 {
			_, done := s.transfers.begin(t.Context(), uuid.New())
			time.Sleep(time.Hour)
			if !s.Serving() {
				t.Error("not while it lasts")
			}
			done()
			if s.Serving() {
				t.Error("behind a long one")
			}
			_, done = s.transfers.begin(t.Context(), uuid.New())
			done()
			time.Sleep(servingFor - time.Nanosecond)
			if !s.Serving() {
				t.Error("not within the second")
			}
			time.Sleep(time.Nanosecond)
			if s.Serving() {
				t.Error("a second later")
			}
		}
	})
}
