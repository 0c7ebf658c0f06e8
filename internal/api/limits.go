package api

import (
	"cmp"
	"net/http"
	"time"

	"github.com/go-chi/httprate"
)

// Limits bound what clients may do. The zero value of each field has the default; a
// negative count means no limit. Durations and the rate have no "no limit".
type Limits struct {
	// PerAddress is how many calls a minute one address may make (an IPv6 /64
	// counts as one), calls with a good API key excepted; 6000 if 0. It is meant to
	// be far above what the phones behind one home or office address need, and still
	// end a flood.
	PerAddress int
	// PerToken is how many calls a minute one token may make; 600 000 if 0: a key is
	// a whole messaging backend, and a ticket of a channel belongs to all its readers.
	PerToken int
	// FailuresPerAddress is how many calls a minute with tokens that nobody issued
	// one address may make before it is refused without a look at its tokens; 600
	// if 0. A token cannot be guessed: this spares the database.
	FailuresPerAddress int
	// Connections open at once; 4096 if 0.
	Connections int

	// Stall and MinRate cut a transfer, up or down, that makes no progress: each
	// mebibyte, or what is left of it, may take Stall and its time at MinRate, in
	// bytes a second. A minute and 8 KiB/s if 0: about three minutes for a mebibyte
	// over the slowest phone line, one minute for a voice note.
	Stall   time.Duration
	MinRate int64
	// MaxTransfer is how long one transfer may take in all; six hours if 0.
	MaxTransfer time.Duration
}

func (l Limits) withDefaults() Limits {
	l.PerAddress = cmp.Or(l.PerAddress, 6_000)
	l.PerToken = cmp.Or(l.PerToken, 600_000)
	l.FailuresPerAddress = cmp.Or(l.FailuresPerAddress, 600)
	l.Connections = cmp.Or(l.Connections, 4096)
	l.Stall = cmp.Or(max(l.Stall, 0), time.Minute)
	l.MinRate = cmp.Or(max(l.MinRate, 0), 8<<10)
	l.MaxTransfer = cmp.Or(max(l.MaxTransfer, 0), 6*time.Hour)
	return l
}

const rateWindow = time.Minute

// limiter allows so many calls a minute for each key. nil allows all.
type limiter struct {
	rate  *httprate.RateLimiter
	limit int
}

func newLimiter(perMinute int) *limiter {
	if perMinute < 0 {
		return nil
	}
	return &limiter{
		rate: httprate.NewRateLimiter(perMinute, rateWindow,
			httprate.WithLimitCounter(newCounters()),
			// No headers: how much is left is nobody's business.
			httprate.WithResponseHeaders(httprate.ResponseHeaders{})),
		limit: perMinute,
	}
}

// take counts a call, or refuses it.
func (l *limiter) take(w http.ResponseWriter, r *http.Request, key string) error {
	if l != nil && l.rate.OnLimit(w, r, key) {
		return errRateLimited
	}
	return nil
}

// exhausted refuses without counting.
func (l *limiter) exhausted(key string) error {
	if l == nil {
		return nil
	}
	if _, rate, err := l.rate.Status(key); err != nil || rate >= float64(l.limit) {
		return errRateLimited
	}
	return nil
}

// count counts without refusing.
func (l *limiter) count(key string) {
	if l != nil {
		_ = l.rate.Counter().Increment(key, time.Now().UTC().Truncate(rateWindow))
	}
}
