package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// scenario is one question that the bench answers.
type scenario struct {
	name, about string
	run         func(context.Context, *bench, *report) error
}

var scenarios = []scenario{
	{"large-open", "a 1 GiB blob, one client; POST /v1/download beside GET with sendfile", largeOpen},
	{"large-upload", "a 1 GiB blob in one call, one client; beside io.Copy to a file and a SHA-256, then fsync", largeUpload},
	{"memory", "the server's resident memory at its peak, with 64 uploads at a time and then 64 downloads", memoryPeak},
	{"small-open", "64 KiB blobs, 64 clients, each open a spend that is on disk before its first byte; beside GET of the same files", smallOpen},
	{"small-upload", "64 KiB blobs in one call, 64 and 16 clients: bytes, digest, row and ticket on disk; beside write, fsync, rename, fsync of the folder", smallUpload},
	{"spends", "64 callers that spend tickets at the database: shared commits beside one commit each", spends},
	{"layers", "what an open of 64 KiB costs, layer by layer, in one process", layers},
}

func scenarioHelp() string {
	var s strings.Builder
	s.WriteString("Scenarios:\n")
	for _, sc := range scenarios {
		fmt.Fprintf(&s, "\n  %s: %s.", sc.name, sc.about)
	}
	return s.String()
}

// chosen are the scenarios with these names, in their own order; all if there
// are no names.
func chosen(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			var all []string
			for _, s := range scenarios {
				all = append(all, s.name)
			}
			return nil, fmt.Errorf("--only: %q is none of %s", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return !slices.Contains(names, s.name)
	}), nil
}
