package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// testBinary builds the tests of a package of the checkout.
func (b *bench) testBinary(ctx context.Context, pkg string) (string, error) {
	binary := filepath.Join(b.dir, filepath.Base(pkg)+".test")
	return binary, b.goTool(ctx, "test", "-c", "-o", binary, pkg)
}

// goBench runs the benchmarks of a test binary that pattern names, with their
// files on the disk that is measured, and env besides our own environment.
func (b *bench) goBench(ctx context.Context, binary, pattern, benchtime string, env ...string) (map[string]metrics, error) {
	return b.goBenchFor(ctx, 10*time.Minute, binary, pattern, benchtime, env...)
}

// goBenchFor is goBench for what may take as long as limit.
func (b *bench) goBenchFor(ctx context.Context, limit time.Duration, binary, pattern, benchtime string, env ...string) (map[string]metrics, error) {
	tmp, err := os.MkdirTemp(b.dir, "gobench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench="+pattern, "-test.benchtime="+benchtime, "-test.timeout="+limit.String())
	cmd.Dir = tmp
	cmd.Env = append(append(environment(), "TMPDIR="+tmp), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark %s: %w\n%s", pattern, err, bytes.TrimSpace(out))
	}
	return parseBenchmarks(string(out))
}

// metrics are what a Go benchmark tells, by unit.
type metrics map[string]float64

// parseBenchmarks reads the output of go test -bench
// (https://go.dev/design/14313-benchmark-format), by the benchmarks' names without
// Benchmark and the number of processors.
func parseBenchmarks(out string) (map[string]metrics, error) {
	all := make(map[string]metrics)
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		m := make(metrics)
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark %s: %w", name, err)
			}
			m[fields[i+1]] = value
		}
		all[name] = m
	}
	return all, nil
}
