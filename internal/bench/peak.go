package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	parallel      = 64
	memoryBound   = 64 << 20
	fewMemoryRuns = 3
)

// memoryPeak takes the resident memory of each server at its peak: with uploads
// and then downloads, of blobs and then of blobs four times as large. Every run
// has fresh servers: a peak would otherwise stay.
func memoryPeak(ctx context.Context, b *bench, r *report) error {
	for _, blob := range []struct {
		mib  int
		runs int
	}{{64, min(b.runs, fewMemoryRuns)}, {256, 1}} {
		body := newPayload(newBlock(), int64(b.scaled(blob.mib))<<20)
		var up, down struct{ plain, mayfly []float64 }
		for range blob.runs {
			var p peaks
			err := b.withServers(ctx, func(s *servers) (err error) { p, err = s.peaksOf(ctx, body); return err })
			if err != nil {
				return err
			}
			up.plain, up.mayfly = append(up.plain, p.plainUp), append(up.mayfly, p.up)
			down.plain, down.mayfly = append(down.plain, p.plainDown), append(down.mayfly, p.down)
		}
		size := sizeText(body.size)
		r.add(newBound("memory", fmt.Sprintf("peak with %d uploads of %s", parallel, size), bytesResident, up.plain, up.mayfly, memoryBound))
		r.add(newBound("memory", fmt.Sprintf("peak with %d downloads of %s", parallel, size), bytesResident, down.plain, down.mayfly, memoryBound))
	}
	return nil
}

// peaks are VmHWM in bytes.
type peaks struct{ plainUp, plainDown, up, down float64 }

func (s *servers) peaksOf(ctx context.Context, body payload) (p peaks, err error) {
	name := func(i int) string { return fmt.Sprintf("large/%d", i) }
	blobs := make([]created, parallel)
	for _, stage := range []struct {
		what   string
		server *process
		peak   *float64
		do     func(ctx context.Context, i int) error
		after  func() error // gives the disk back
	}{
		{"plain, uploads", s.plain, &p.plainUp, func(ctx context.Context, i int) error { return s.put(ctx, name(i), body) }, nil},
		{"plain, downloads", s.plain, &p.plainDown, func(ctx context.Context, i int) error { return s.get(ctx, name(i), io.Discard) },
			func() error { return s.removePlain("large") }},
		{"mayfly, uploads", s.mayfly, &p.up, func(ctx context.Context, i int) error { return s.upload(ctx, body, 1, &blobs[i]) }, nil},
		{"mayfly, downloads", s.mayfly, &p.down, func(ctx context.Context, i int) error {
			return s.open(ctx, blobs[i].Tickets[0].Token, io.Discard)
		}, func() error { return os.RemoveAll(filepath.Join(s.dir, "blobs")) }},
	} {
		m, err := peakDuring(stage.server, func() error { return many(ctx, parallel, parallel, stage.do) })
		if err != nil {
			return p, err
		}
		*stage.peak = float64(m.Peak)
		s.b.say("  %s of %s: at its peak %s resident, of that %s its own memory and the rest pages of files, mostly its program",
			stage.what, sizeText(body.size), bytesResident.format(float64(m.Peak)), bytesResident.format(float64(m.Anon)))
		if stage.after != nil {
			if err := stage.after(); err != nil {
				return p, err
			}
		}
		if err := settle(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

// peakDuring is the most memory that a process had while do ran.
func peakDuring(server *process, do func() error) (memory, error) {
	if err := resetPeak(server.pid()); err != nil {
		return memory{}, err
	}
	stop := watchMemory(server.pid())
	err := do()
	m, watchErr := stop()
	return m, errors.Join(err, watchErr)
}
