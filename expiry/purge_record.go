package expiry

import (
	"context"
	"errors"
	"fmt"
)

// recording is the writing of one batch's tombstones, which runs while the next batch is
// deleted. The zero recording is over.
type recording struct{ aside[recorded] }

// recorded is what a recording did.
type recorded struct {
	gone     []Due
	erased   bool
	unsigned int64
	// unrecorded counts what is gone, and could not be written down: it is due again when
	// the lease runs out.
	unrecorded int
	err        error
}

// record makes tombstones of entries whose bytes are gone, with their receipts, and puts
// off the others. Both are tried: neither should wait out a lease because of the other.
func (p *Purge) record(ctx context.Context, gone []Due, kept []doubt, deleted deletion) recording {
	return recording{beside(func() recorded {
		done := p.recordGone(ctx, gone, deleted)
		done.err = errors.Join(done.err, p.putOff(ctx, kept))
		return done
	})}
}

// end waits for the recording and adds what it did to the result; once.
func (r *recording) end(to *PurgeResult) error {
	done, ok := r.wait()
	if !ok {
		return nil
	}
	to.Unsigned += done.unsigned
	if done.unrecorded > 0 {
		to.failedAt(StageRecord, done.unrecorded)
	}
	if !done.erased {
		return done.err
	}
	if to.Reasons == nil {
		to.Reasons = make(map[string]int64)
	}
	for _, d := range done.gone {
		to.Erased++
		to.Reasons[d.Reason]++
		to.Bytes += d.Size
	}
	return done.err
}

func (p *Purge) recordGone(ctx context.Context, gone []Due, deleted deletion) recorded {
	if len(gone) == 0 {
		return recorded{}
	}
	done := recorded{gone: gone, unsigned: p.sign(gone, deleted)}
	if err := p.Queue.Erase(ctx, gone, deleted.at); err != nil {
		if ctx.Err() == nil {
			done.unrecorded = len(gone)
		}
		done.err = fmt.Errorf("record what was erased: %w", err)
		return done
	}
	done.erased = true
	return done
}

// putOff gives every entry its own later time.
func (p *Purge) putOff(ctx context.Context, kept []doubt) error {
	for _, d := range kept {
		if err := p.Queue.Defer(ctx, d.Due, p.now().Add(backoff(d.Due))); err != nil {
			return fmt.Errorf("put off what could not be deleted: %w", err)
		}
	}
	return nil
}
