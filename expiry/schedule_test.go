package expiry_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/expiry"
)

// In a bubble of synctest the clock begins at midnight UTC, 2000-01-01.

func newSchedule(t *testing.T, observe func(expiry.Pass), jobs ...expiry.Job) *expiry.Schedule {
	t.Helper()
	s, err := expiry.NewSchedule(observe, jobs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *expiry.Schedule) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestScheduleRunsAtTheStartAndOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var times []string
		s := newSchedule(t, func(p expiry.Pass) {
			if p.Job != "purge" || p.Err != nil || p.Skipped != 0 {
				t.Errorf("%+v", p)
			}
			times = append(times, p.Started.UTC().Format("15:04:05"))
		}, expiry.Job{Name: "purge", Spec: "*/20 * * * *", Run: func(context.Context) error { return nil }})
		time.Sleep(5 * time.Second)
		s.Start(t.Context())
		time.Sleep(time.Hour)
		stop(t, s)
		time.Sleep(time.Hour)
		if want := []string{"00:00:05", "00:20:00", "00:40:00", "01:00:00"}; !slices.Equal(times, want) {
			t.Errorf("at %v, not %v", times, want)
		}
	})
}

func TestScheduleNeverRunsTwoPassesOfAJobAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var atWork atomic.Int32
		var passes []expiry.Pass
		var others atomic.Int32
		s := newSchedule(t,
			func(p expiry.Pass) {
				if p.Job == "slow" {
					passes = append(passes, p)
				}
			},
			expiry.Job{Name: "slow", Spec: "@every 1m", Run: func(context.Context) error {
				if atWork.Add(1) > 1 {
					t.Error("two passes at once")
				}
				time.Sleep(140 * time.Second)
				atWork.Add(-1)
				return nil
			}},
			expiry.Job{Name: "other", Spec: "@every 1m", Run: func(context.Context) error {
				others.Add(1)
				return nil
			}})
		s.Start(t.Context())
		time.Sleep(10 * time.Second)
		for range 3 { // remembered as one
			if !s.Wake("slow") {
				t.Error("no such job")
			}
		}
		// From the start to 2:20, woken from there to 4:40, by a tick from 5:00 to 7:20.
		time.Sleep(7*time.Minute + 40*time.Second)
		stop(t, s)
		var at, skipped []int
		for _, p := range passes {
			at = append(at, int(p.Started.Sub(passes[0].Started).Seconds()))
			skipped = append(skipped, p.Skipped)
		}
		if !slices.Equal(at, []int{0, 140, 300}) || !slices.Equal(skipped, []int{2, 2, 2}) {
			t.Errorf("passes at %v, skipped %v", at, skipped)
		}
		if n := others.Load(); n != 8 {
			t.Errorf("the other job ran %d times", n)
		}
	})
}

func TestScheduleWakeIsNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		s := newSchedule(t, nil, expiry.Job{Name: "purge", Spec: "@daily", Run: func(context.Context) error { runs++; return nil }})
		s.Start(t.Context())
		synctest.Wait()
		s.Wake("purge")
		synctest.Wait()
		if runs != 2 {
			t.Errorf("%d runs", runs)
		}
		if s.Wake("prune") {
			t.Error("woke a job that does not exist")
		}
		stop(t, s)
		s.Wake("purge")
		synctest.Wait()
		if runs != 2 {
			t.Error("ran after the stop")
		}
	})
}

func TestSchedulePanicIsCaughtAndTheNextTickTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		runs := 0
		s := newSchedule(t, func(p expiry.Pass) { errs = append(errs, p.Err) },
			expiry.Job{Name: "purge", Spec: "@every 1m", Run: func(context.Context) error {
				if runs++; runs == 1 {
					panic("boom")
				}
				return nil
			}})
		s.Start(t.Context())
		time.Sleep(90 * time.Second)
		stop(t, s)
		var p *expiry.PanicError
		if len(errs) != 2 || !errors.As(errs[0], &p) || p.Value != "boom" || errs[1] != nil {
			t.Fatalf("%v", errs)
		}
		if !strings.Contains(string(p.Stack), "schedule_test.go") {
			t.Errorf("the stack does not say where:\n%s", p.Stack)
		}
	})
}

// A panic of the blob store happens in a goroutine that the purge started.
func TestScheduleCatchesThePanicOfAWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.blob(t, 0)
	w.blob(t, 0)
	synctest.Test(t, func(t *testing.T) {
		var pass expiry.Pass
		s := newSchedule(t, func(p expiry.Pass) { pass = p },
			expiry.Job{Name: "purge", Spec: "@daily", Run: func(ctx context.Context) error {
				p := w.purge()
				p.Blobs = nil
				_, err := p.Run(ctx)
				return err
			}})
		s.Start(t.Context())
		synctest.Wait()
		stop(t, s)
		if p := new(expiry.PanicError); !errors.As(pass.Err, &p) {
			t.Errorf("%v", pass.Err)
		}
	})
}

func TestScheduleStopCancelsAndWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pass expiry.Pass
		observe := func(p expiry.Pass) {
			if p.Job == "purge" {
				pass = p
			}
		}
		s := newSchedule(t, observe,
			expiry.Job{Name: "purge", Spec: "@every 1m", Run: func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(10 * time.Second) // a step that cannot be cut short
				return ctx.Err()
			}},
			expiry.Job{Name: "sweep", Spec: "@every 1m", Run: func(context.Context) error { return nil }})
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("before the start: %v", err)
		}
		s.Start(t.Context())
		time.Sleep(time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := s.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "purge") || strings.Contains(err.Error(), "sweep") {
			t.Errorf("with too little time: %v", err)
		}
		stop(t, s)
		if !errors.Is(pass.Err, context.Canceled) || pass.Took != 11*time.Second {
			t.Errorf("%+v", pass)
		}
	})
}

func TestScheduleEndsWithTheContextOfItsStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		s := newSchedule(t, nil, expiry.Job{Name: "purge", Spec: "@every 1m", Run: func(context.Context) error { runs++; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		s.Start(ctx)
		time.Sleep(time.Second)
		cancel()
		time.Sleep(time.Hour)
		if stop(t, s); runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}

func TestScheduleSpecs(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"@every 1m":        "",
		" @hourly ":        "",
		"*/5 * * * *":      "",
		"0 3 * * mon-fri":  "",
		"0 0 29 2 *":       "",
		"":                 "empty",
		"hourly":           "5 fields",
		"0 */5 * * * *":    "5 fields",
		"61 * * * *":       "above maximum",
		"0 0 30 2 *":       "never comes",
		", * * * *":        "never comes",
		"@every 1":         "duration",
		"@every 10ms":      "every second",
		"@every -1h":       "every second",
		"@fortnightly":     "descriptor",
		"TZ=UTC":           "UTC",
		"CRON_TZ=Asia/Tok": "UTC",
		"TZ=UTC 0 3 * * *": "UTC",
	} {
		_, err := expiry.NewSchedule(nil, expiry.Job{Name: "sweep", Spec: spec})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", spec, err)
		case want != "" && err == nil:
			t.Errorf("%q was taken", spec)
		case want != "":
			for _, part := range []string{"sweep", `"` + spec + `"`, want, "@hourly"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q: %v: does not say %q", spec, err, part)
				}
			}
		}
	}
	_, err := expiry.NewSchedule(nil, expiry.Job{Name: "purge", Spec: "often"}, expiry.Job{Name: "sweep", Spec: "daily"})
	if err == nil || !strings.Contains(err.Error(), "purge") || !strings.Contains(err.Error(), "sweep") {
		t.Errorf("not all faults are told: %v", err)
	}
}

func FuzzScheduleSpec(f *testing.F) {
	for _, spec := range []string{"@every 1m", "*/5 1-3 1,15 jan-mar mon", "TZ=x", "@every", "? ? ? ? ?", "0/15 * * * 7"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := expiry.NewSchedule(nil, expiry.Job{Name: "purge", Spec: spec})
		if err != nil {
			return
		}
		now := start
		for _, next := range s.Plans(now)[0].Next {
			if !next.After(now) {
				t.Errorf("%q: %s is not after %s", spec, next, now)
			}
			now = next
		}
	})
}

func TestSchedulePlans(t *testing.T) {
	t.Parallel()
	s := newSchedule(t, nil,
		expiry.Job{Name: "purge", Spec: "@every 90s"},
		expiry.Job{Name: "sweep", Spec: "30 3 * * *"})
	// Midnight in Auckland is noon in UTC: the spec means UTC.
	plans := s.Plans(start.In(time.FixedZone("NZST", 12*60*60)))
	want := [][]time.Time{
		{start.Add(90 * time.Second), start.Add(180 * time.Second), start.Add(270 * time.Second)},
		{start.Add(15*time.Hour + 30*time.Minute), start.Add(39*time.Hour + 30*time.Minute), start.Add(63*time.Hour + 30*time.Minute)},
	}
	for i, p := range plans {
		if !slices.EqualFunc(p.Next, want[i], time.Time.Equal) || p.Next[0].Location() != time.UTC {
			t.Errorf("%s %q: %v", p.Job, p.Spec, p.Next)
		}
	}
}
