package expiry

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
)

// Job is what a Schedule starts.
type Job struct {
	Name string
	// Spec says when, in UTC: five cron fields (minute, hour, day of the month,
	// month, day of the week), a descriptor like @hourly, or @every and a
	// duration of at least a second.
	Spec string
	// Run makes one pass. It ends soon after its context.
	Run func(context.Context) error
}

// Pass is one run of a job, as Schedule tells it.
type Pass struct {
	Job     string
	Started time.Time
	Took    time.Duration
	// Err is what Run returned, or a *PanicError.
	Err error
	// Skipped counts the ticks that came while the pass was under way.
	Skipped int
}

// PanicError is a panic that was caught.
type PanicError struct {
	Value any
	// Stack of the goroutine that panicked.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Schedule runs jobs: each once at the start, then at its times and when woken.
// At most one pass of a job runs at a time; different jobs run side by side. A
// tick that finds its job at work is skipped, a tick that is missed does no
// harm: it only wakes, and what is due stands in the data.
type Schedule struct {
	observe func(Pass)
	cron    *cron.Cron
	jobs    []*job
	cancel  context.CancelFunc
	running sync.WaitGroup
}

type job struct {
	Job
	times   cron.Schedule
	tick    chan struct{} // nobody waits for it while a pass runs
	wake    chan struct{} // remembers one call
	skipped atomic.Int64
	ended   atomic.Bool
}

// NewSchedule checks the specs and joins the errors of all that are wrong. observe,
// which may be nil, is called after each pass; of different jobs at the same time.
func NewSchedule(observe func(Pass), jobs ...Job) (*Schedule, error) {
	s := &Schedule{
		observe: observe,
		cron:    cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger)),
	}
	var errs []error
	for _, j := range jobs {
		times, err := parseSpec(j.Spec)
		if err != nil {
			errs = append(errs, fmt.Errorf("schedule of the %s: %w", j.Name, err))
			continue
		}
		s.add(&job{Job: j, times: times, tick: make(chan struct{}), wake: make(chan struct{}, 1)})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Schedule) add(j *job) {
	s.jobs = append(s.jobs, j)
	s.cron.Schedule(j.times, cron.FuncJob(func() {
		select {
		case j.tick <- struct{}{}:
		default:
			j.skipped.Add(1)
		}
	}))
}

// Start runs every job once, which catches up with what was missed, and then on
// its schedule until ctx ends or Stop is called. It returns at once and is called
// once.
func (s *Schedule) Start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	for _, j := range s.jobs {
		s.running.Go(func() {
			defer j.ended.Store(true)
			s.loop(ctx, j)
		})
	}
	s.cron.Start()
}

// Wake starts a pass of the job now, or right after the one under way, which may
// have passed by what the caller has in mind. It does not wait. Calls before that
// pass begins are one. False if there is no such job.
func (s *Schedule) Wake(name string) bool {
	for _, j := range s.jobs {
		if j.Name == name {
			select {
			case j.wake <- struct{}{}:
			default:
			}
			return true
		}
	}
	return false
}

// Stop ends the ticks, cancels the passes under way and waits for them, as long
// as ctx allows; then the error names the jobs that still run. Idempotent, and
// nothing before Start.
func (s *Schedule) Stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	s.cron.Stop()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	var names []string
	for _, j := range s.jobs {
		if !j.ended.Load() {
			names = append(names, j.Name)
		}
	}
	return fmt.Errorf("still running: %s: %w", strings.Join(names, ", "), ctx.Err())
}

func (s *Schedule) loop(ctx context.Context, j *job) {
	for ctx.Err() == nil {
		s.pass(ctx, j)
		select {
		case <-ctx.Done():
		case <-j.tick:
		case <-j.wake:
		}
	}
}

func (s *Schedule) pass(ctx context.Context, j *job) {
	p := Pass{Job: j.Name, Started: time.Now()}
	p.Err = caught(func() error { return j.Run(ctx) })
	p.Took = time.Since(p.Started)
	p.Skipped = int(j.skipped.Swap(0))
	if s.observe != nil {
		s.observe(p)
	}
}

// caught turns a panic of f into its error.
func caught(f func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *PanicError: // of a worker, with the worker's stack
			err = v
		default:
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Plan is when a job runs next.
type Plan struct {
	Job, Spec string
	// Next are the next times, in UTC: three, fewer if the last is years away.
	Next []time.Time
}

// Plans says what the specs mean, as seen from now.
func (s *Schedule) Plans(now time.Time) []Plan {
	plans := make([]Plan, len(s.jobs))
	for i, j := range s.jobs {
		plans[i] = Plan{Job: j.Name, Spec: j.Spec}
		t := now.UTC()
		for range 3 {
			if t = j.times.Next(t); t.IsZero() {
				break // a 29th of February that is more than five years away
			}
			plans[i].Next = append(plans[i].Next, t)
		}
	}
	return plans
}

// parseSpec is cron's own parser, less what it takes and does not mean.
func parseSpec(spec string) (cron.Schedule, error) {
	wrong := func(reason any) error {
		return fmt.Errorf(`%q: %v; examples: "@every 1m", "@hourly", or minute, hour, day, month and weekday in UTC: "30 3 * * *"`, spec, reason)
	}
	trimmed := strings.TrimSpace(spec)
	if strings.Contains(trimmed, "TZ=") {
		return nil, wrong("times are in UTC, without a time zone") // cron panics at "TZ=x"
	}
	times, err := cron.ParseStandard(trimmed)
	if err != nil {
		return nil, wrong(err)
	}
	if _, ok := times.(cron.ConstantDelaySchedule); ok {
		// Cron runs what is shorter than a second, or negative, every second.
		d, err := time.ParseDuration(strings.TrimPrefix(trimmed, "@every "))
		if err != nil || d < time.Second {
			return nil, wrong("every second is the most often")
		}
		return times, nil
	}
	// From a day before a leap year, so that the 29th of February is found.
	if times.Next(time.Date(2027, time.December, 31, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, wrong("that day or time never comes")
	}
	return times, nil
}
