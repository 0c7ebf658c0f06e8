package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	gometrics "runtime/metrics"
	"runtime/pprof"
	"time"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/sqlstore"
)

// emptyPasses are how many passes in a row find nothing due.
const emptyPasses = 21

// passSpec is one pass of purge-rows. It is made by a process of its own, as a server
// makes it: with nothing of the bench in its memory.
type passSpec struct {
	Database string `json:"database"`
	// Idle and Now are clocks: nothing is due at Idle, and Due blobs are at Now.
	Idle time.Time `json:"idle"`
	Now  time.Time `json:"now"`
	Due  int64     `json:"due"`
	// Signed asks for receipts.
	Signed bool `json:"signed"`
	// Profile is the file for a processor profile; none if empty.
	Profile string `json:"profile"`
}

// passResult is how it went.
type passResult struct {
	Seconds float64 `json:"seconds"`
	// First is how long it took until the first batch was erased: the brake counts
	// before that what is due and what there is.
	First float64 `json:"first"`
	// Begin is before the pass; of Tenth and Whole the peak is that of the first tenth
	// of the pass, and of its rest, as the kernel keeps it.
	Begin, Tenth, Whole passMemory
	// Empty are passes behind it that found nothing due, in milliseconds.
	Empty []float64 `json:"empty"`
}

// passMemory is what the process holds, in bytes.
type passMemory struct {
	Peak, Resident, Anon int64
	// Live is what the garbage collector left the last time.
	Live int64
}

// pass starts a process that makes one pass, and waits for it.
func (b *bench) pass(ctx context.Context, spec passSpec) (r passResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "--purge-pass")
	cmd.Env, cmd.Stderr = environment(), b.progress
	// It stays open: the process ends when this one does, however that ends.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	_, err = stdin.Write(text)
	out, readErr := io.ReadAll(stdout)
	if err := errors.Join(err, readErr, cmd.Wait()); err != nil {
		return r, fmt.Errorf("a pass: %w", err)
	}
	return r, json.Unmarshal(out, &r)
}

// servePass is the process that makes the pass.
func servePass(ctx context.Context, in io.Reader, out io.Writer) error {
	d := json.NewDecoder(in)
	var spec passSpec
	if err := d.Decode(&spec); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errors.New("the bench is gone"))
	}()
	r, err := runPass(ctx, spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func runPass(ctx context.Context, spec passSpec) (r passResult, err error) {
	db, err := sqlstore.Open(ctx, sqlstore.Config{URL: spec.Database})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	purge := &expiry.Purge{Queue: db, Blobs: nothing{}, Now: ticking(spec.Idle)}
	if spec.Signed {
		if purge.Receipts, err = newSigner(); err != nil {
			return r, err
		}
	}
	// As in a server that has been up for a while: its connections and statements are there.
	if _, err := idlePasses(ctx, purge, 3); err != nil {
		return r, err
	}
	purge.Now = ticking(spec.Now)
	if err := r.run(ctx, purge, spec); err != nil {
		return r, err
	}
	r.Empty, err = idlePasses(ctx, purge, emptyPasses)
	return r, err
}

// run makes the pass, or as many as a server would, one behind the other: one of them
// ends after a million.
func (r *passResult) run(ctx context.Context, purge *expiry.Purge, spec passSpec) (err error) {
	runtime.GC()
	if err := resetPeak(os.Getpid()); err != nil {
		return err
	}
	if r.Begin, err = ownMemory(); err != nil {
		return err
	}
	if spec.Profile != "" {
		stop, err := profile(spec.Profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	var erased int64
	var watchErr error
	began := time.Now()
	purge.Progress = func(p expiry.PurgeResult) {
		if r.First == 0 {
			r.First = time.Since(began).Seconds()
		}
		if r.Tenth.Peak == 0 && 10*(erased+p.Erased) >= spec.Due {
			r.Tenth, watchErr = ownMemory()
			watchErr = errors.Join(watchErr, resetPeak(os.Getpid()))
		}
	}
	for more := true; more && erased < spec.Due; {
		p, err := purge.Run(ctx)
		if err != nil {
			return err
		}
		if p.Failed+p.Unsigned > 0 {
			return fmt.Errorf("%d failed, %d without a receipt", p.Failed, p.Unsigned)
		}
		erased, more = erased+p.Erased, p.More
	}
	r.Seconds = time.Since(began).Seconds()
	purge.Progress = nil
	if erased != spec.Due {
		return fmt.Errorf("%d were erased and not %d", erased, spec.Due)
	}
	r.Whole, err = ownMemory()
	return errors.Join(err, watchErr)
}

// idlePasses makes n passes that find nothing due, and says how long each took, in
// milliseconds.
func idlePasses(ctx context.Context, purge *expiry.Purge, n int) (took []float64, err error) {
	for range n {
		began := time.Now()
		r, err := purge.Run(ctx)
		if err == nil && r.Erased > 0 {
			err = fmt.Errorf("%d were due where none should be", r.Erased)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, 1e3*time.Since(began).Seconds())
	}
	return took, nil
}

// ticking is a clock that shows now as that time, and goes on: with one that stands all
// leases of a pass would end at the same moment, as they never do.
func ticking(at time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return at.Add(time.Since(began)) }
}

func ownMemory() (passMemory, error) {
	m, err := readMemory(os.Getpid())
	live := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}
	gometrics.Read(live)
	return passMemory{Peak: m.Peak, Resident: m.Resident, Anon: m.Anon, Live: int64(live[0].Value.Uint64())}, err
}

func profile(path string) (stop func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

// nothing is a blob store that has nothing, and deletes at once.
type nothing struct{ blobstore.Store }

func (nothing) Delete(context.Context, ...blobstore.Key) error { return nil }

func (nothing) Open(context.Context, blobstore.Key, int64) (io.ReadCloser, blobstore.Info, error) {
	return nil, blobstore.Info{}, blobstore.ErrNotFound
}
