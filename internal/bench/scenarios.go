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
	// needs is a variable that internal/testenv sets, without which the scenario is
	// not among all of them, and cannot be asked for; empty if it needs none.
	needs string
	// apart is not among all of them: it needs PostgreSQL's programs.
	apart bool
}

var scenarios = []scenario{
	{"large-open", "a 1 GiB blob, one client; POST /v1/download beside GET with sendfile", largeOpen, "", false},
	{"large-upload", "a 1 GiB blob in one call, one client; beside io.Copy to a file and a SHA-256, then fsync", largeUpload, "", false},
	{"memory", "the server's resident memory at its peak, with 64 uploads at a time and then 64 downloads", memoryPeak, "", false},
	{"small-open", "64 KiB blobs, 64 clients, each open a spend that is on disk before its first byte; beside GET of the same files", smallOpen, "", false},
	{"small-upload", "64 KiB blobs in one call, 64 and 16 clients: bytes, digest, row and ticket on disk; beside write, fsync, rename, fsync of the folder", smallUpload, "", false},
	{"spends", "64 callers that spend tickets at the database: shared commits beside one commit each", spends, "", false},
	{"layers", "what an open of 64 KiB costs, layer by layer, in one process", layers, "", false},
	{"s3-large", "a 1 GiB blob in MinIO, one client, opened and uploaded in one call; beside minio-go, which sends parts as large as Mayfly's", s3Large, minioVariable, false},
	{"s3-small", "64 KiB blobs in MinIO, 16 clients, opened and uploaded in one call, with the latency that Mayfly adds; beside minio-go", s3Small, minioVariable, false},
	{"s3-memory", "Mayfly's resident memory at its peak, with 32 uploads of 256 MiB to MinIO at a time and then 32 downloads", s3Memory, minioVariable, false},
	{name: "pg-spends", about: "64 callers that spend tickets at PostgreSQL, which share commits; beside pgbench on the same server with a commit each", run: pgSpends, apart: true},
	{name: "pg-open", about: "4 KiB blobs, 64 clients, on PostgreSQL, with the connections that it takes; beside the same HTTP server without tickets, and GET of the same files", run: pgOpen, apart: true},
	{name: "pg-tables", about: "opens at the store on PostgreSQL, of a table of 10,000,000 tickets beside one of 10,000; takes 10 GB and many minutes", run: pgTables, apart: true},
	{name: "pg-tables-open", about: "4 KiB blobs, 64 clients, whole opens on PostgreSQL of tickets all over a table of 10,000,000, and of its youngest, beside one of 10,000; takes 20 GB and many minutes", run: pgTablesOpen, apart: true},
	{name: "purge-rows", about: "the metadata side of a purge, 1,000,000 due of 10,000,000 rows, on SQLite and PostgreSQL, with its memory; takes 10 GB and many minutes (--purge-rows, --purge-all, --purge-on)", run: purgeRows, apart: true},
	{"purge-objects", "20,000 blobs of 4 KiB in a folder and in MinIO, purged whole; beside loops that only delete them", purgeObjects, minioVariable, false},
	{name: "purge-opens", about: "64 KiB blobs, 64 clients, opened while the same server purges; beside opens while it does not, on SQLite and PostgreSQL", run: purgeOpens, apart: true},
}

// possible reports whether the environment has what the scenario needs.
func (s scenario) possible(getenv func(string) string) bool {
	return s.needs == "" || getenv(s.needs) != ""
}

func scenarioHelp() string {
	var s strings.Builder
	s.WriteString("Scenarios:\n")
	for _, sc := range scenarios {
		fmt.Fprintf(&s, "\n  %s: %s.", sc.name, sc.about)
		if sc.needs != "" {
			fmt.Fprintf(&s, " Needs %s.", sc.needs)
		}
		if sc.apart {
			s.WriteString(" Only if asked for by name; needs PostgreSQL's programs.")
		}
	}
	return s.String()
}

// chosen are the scenarios with these names, in their own order; if there are no
// names all for which the environment has what they need, without those that stand apart.
func chosen(names []string, getenv func(string) string) ([]scenario, error) {
	if len(names) == 0 {
		return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
			return s.apart || !s.possible(getenv)
		}), nil
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
	var these []scenario
	for _, s := range scenarios {
		switch {
		case !slices.Contains(names, s.name):
		case s.possible(getenv):
			these = append(these, s)
		default:
			return nil, fmt.Errorf("--only: %s needs %s: start it with go run ./internal/testenv go run ./internal/bench --only %[1]s", s.name, s.needs)
		}
	}
	return these, nil
}
