package main

import (
	"context"
	"fmt"
)

// layer is a part of an open.
type layer struct {
	Name string `json:"name"`
	// Micros is its processor time in microseconds, Share its part of the whole.
	Micros float64 `json:"cpu_us"`
	Share  float64 `json:"share"`
}

// cpuPerOp is the metric in which BenchmarkOpen tells its processor time.
const cpuPerOp = "cpu-ns/op"

// openLayers are the steps of BenchmarkOpen, each the one before and one layer
// more: what a layer costs is what it adds.
var openLayers = []struct{ step, name string }{
	{"plain", "HTTP and file, as of the plain server"},
	{"http", "Mayfly's HTTP: token, limits, headers, metrics, log"},
	{"lookup", "finding the ticket"},
	{"whole", "spending it, durably"},
}

// layers runs BenchmarkOpen and takes the median of each step.
func layers(ctx context.Context, b *bench, r *report) error {
	binary, err := b.testBinary(ctx, "./internal/bench")
	if err != nil {
		return err
	}
	benchtime := "5000x"
	if b.quick {
		benchtime = "500x"
	}
	runs := make(map[string][]float64)
	for range b.runs {
		for _, l := range openLayers {
			all, err := b.goBench(ctx, binary, "^BenchmarkOpen$/^"+l.step+"$", benchtime)
			if err != nil {
				return err
			}
			m, ok := all["Open/"+l.step]
			if !ok {
				return fmt.Errorf("no benchmark Open/%s", l.step)
			}
			runs[l.step] = append(runs[l.step], m[cpuPerOp]/1e3)
		}
	}
	steps := make([]float64, len(openLayers))
	for i, l := range openLayers {
		steps[i] = median(runs[l.step])
	}
	r.Layers = layersOf(steps)
	return nil
}

// layersOf are the layers of steps that each hold the one before, in µs.
func layersOf(steps []float64) []layer {
	whole := steps[len(steps)-1]
	var ls []layer
	before := 0.0
	for i, l := range openLayers {
		ls = append(ls, layer{l.name, steps[i] - before, (steps[i] - before) / whole})
		before = steps[i]
	}
	return ls
}
