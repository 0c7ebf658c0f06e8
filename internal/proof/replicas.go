package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
)

// replicas are the servers over one database and one blob store.
type replicas struct {
	logs string // their folder
	// command is how one is started that listens at the address.
	command func(address string) *exec.Cmd

	mu        sync.Mutex
	processes []*process // nil: it is down
	changed   chan struct{}
}

// startReplicas starts n servers. stop is to be called also after an error.
func startReplicas(ctx context.Context, logs string, n int, command func(address string) *exec.Cmd) (*replicas, error) {
	r := &replicas{logs: logs, command: command, processes: make([]*process, n), changed: make(chan struct{})}
	for i := range n {
		if err := r.start(ctx, i); err != nil {
			return r, fmt.Errorf("start replica %d: %w", i, err)
		}
	}
	return r, nil
}

func (r *replicas) start(ctx context.Context, i int) error {
	p, err := startProcess(ctx, filepath.Join(r.logs, fmt.Sprintf("replica-%d.log", i)), r.command)
	if err != nil {
		return err
	}
	r.set(i, p)
	return nil
}

func (r *replicas) set(i int, p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[i] = p
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *replicas) process(i int) *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.processes[i]
}

// restart kills the replica with kill -9 and starts it again. In between the clients
// run into it, for nobody has told them.
func (r *replicas) restart(ctx context.Context, i int) error {
	if err := r.process(i).kill(); err != nil {
		return err
	}
	r.set(i, nil)
	if err := r.start(ctx, i); err != nil {
		return fmt.Errorf("restart replica %d: %w", i, err)
	}
	return nil
}

// pick is a replica that is up, any of them or number prefer if that is not negative
// and it is up. If none is, it waits for one.
func (r *replicas) pick(ctx context.Context, random *rand.Rand, prefer int) (int, string, error) {
	for {
		r.mu.Lock()
		var up []int
		for i, p := range r.processes {
			if p != nil && i == prefer {
				up = []int{i}
				break
			}
			if p != nil {
				up = append(up, i)
			}
		}
		changed := r.changed
		if len(up) > 0 {
			i := up[random.IntN(len(up))]
			at := r.processes[i].at
			r.mu.Unlock()
			return i, at, nil
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}
}

// stop kills them all. That one had ended by itself is an error.
func (r *replicas) stop() error {
	if r == nil {
		return nil
	}
	var errs []error
	for i, p := range r.processes {
		if p != nil {
			errs = append(errs, p.kill())
			r.processes[i] = nil
		}
	}
	return errors.Join(errs...)
}
