package crashes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"mayfly/blobstore"
	"mayfly/blobstore/blobstoretest"
)

// mode is what becomes of a step: one call of a store.
type mode int

const (
	passes     mode = iota
	diedBefore      // it is not made, and nothing is any more
	failed          // it is not made, and the process goes on with an error
	lost            // it is made, and the process goes on with an error
	diedAfter       // it is made, and nothing is any more
	diedWithin      // of bytes on their way: some arrive, and nothing is done any more
)

func (m mode) String() string {
	return [...]string{"passes", "died before", "failed", "lost", "died after", "died within"}[m]
}

// reads are the steps that change nothing. That one was made, and nobody learned of it, is
// what it is if it was not made.
var reads = map[string]bool{
	"blobs.Open": true, "blobs.All": true, "blobs.Unfinished": true, "FindGrant": true, "FindTicket": true, "Blob": true,
	"Stopped": true, "Share": true, "Preview": true, "Backlog": true, "Owned": true, "Stored": true,
	"Reported": true, "Report": true, "HandledReport": true, "Reports": true, "Audit": true, "ReportBacklog": true,
}

// modesOf are the ways in which a step can go wrong.
func modesOf(step string) []mode {
	if reads[step] {
		return []mode{diedBefore, failed}
	}
	modes := []mode{diedBefore, failed, lost, diedAfter}
	if step == "blobs.Put" || step == "blobs.Copy" {
		modes = append(modes, diedWithin)
	}
	return modes
}

// goesOn reports whether the process does more after a step that went so.
func (m mode) goesOn() bool { return m == failed || m == lost }

// stop is what goes wrong with the step of a number, counted from 1.
type stop struct {
	step int
	name string
	mode mode
}

// plan is what goes wrong in a run.
type plan []stop

func (p plan) String() string {
	if len(p) == 0 {
		return "nothing"
	}
	var all []string
	for _, s := range p {
		all = append(all, fmt.Sprintf("%d %s %s", s.step, s.name, s.mode))
	}
	return strings.Join(all, ", ")
}

// errStopped is what a process gets of a step that went wrong.
var errStopped = errors.New("the step was stopped")

// process is one life of a server: it makes steps until it dies. Then it does nothing
// any more, whatever of it still runs.
type process struct {
	// cutOff leaves what is left of a Put under key that was cut off.
	cutOff func(key blobstore.Key)
	// before is called before each step since it was armed, if it is not nil.
	before func(number int)
	// duringCopy is called once, when a copy is about to be made, if it is not nil.
	duringCopy func()

	mu    sync.Mutex
	armed bool
	plan  plan
	met   int // stops of the plan that were met
	dead  bool
	steps []string       // that were made since it was armed
	made  map[string]int // of those, by name, the ones that had their effect
}

// arm counts steps from now on and lets them go wrong as planned.
func (p *process) arm(plan plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.plan, p.made = true, plan, make(map[string]int)
}

// kill ends the process, if it lives, and says what it did since it was armed.
func (p *process) kill() (steps []string, met int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	return p.steps, p.met
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// did reports whether a step of that name had its effect since the process was armed.
func (p *process) did(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made[name] > 0
}

// next counts a step and says what becomes of it.
func (p *process) next(name string) mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.dead:
		return diedBefore
	case !p.armed:
		return passes
	}
	p.steps = append(p.steps, name)
	if p.before != nil {
		p.before(len(p.steps))
	}
	m := passes
	if i := slices.IndexFunc(p.plan, func(s stop) bool { return s.step == len(p.steps) }); i >= 0 {
		m = p.plan[i].mode
		p.met++
	}
	p.dead = m != passes && !m.goesOn()
	if m == passes || m == lost || m == diedAfter {
		p.made[name]++
	}
	return m
}

// step makes a call, or not. Whoever gets an error must not use what the call has set:
// the answer is lost.
func (p *process) step(name string, call func() error) error {
	switch p.next(name) {
	case passes:
		return call()
	case lost, diedAfter:
		_ = call() // nobody learns of it
	}
	return fmt.Errorf("%s: %w", name, errStopped)
}

// rule makes steps of the calls of a blobstoretest.Faulty. Of a Delete each key is
// one, so that a process also dies between two of them.
func (p *process) rule(c blobstoretest.Call) blobstoretest.Mode {
	if meanwhile := p.duringCopy; meanwhile != nil && c.Method == blobstoretest.Copy {
		p.duringCopy = nil
		meanwhile()
	}
	switch p.next("blobs." + string(c.Method)) {
	case passes:
		return blobstoretest.Pass
	case lost, diedAfter:
		if c.Method == blobstoretest.Open {
			return blobstoretest.Failed // it has no effect, and Faulty would tell that nothing is there
		}
		return blobstoretest.FailedButApplied
	case diedWithin:
		p.cutOff(c.Key)
	}
	return blobstoretest.Failed
}
