package main

import (
	"log/slog"
	"path/filepath"
	"testing"
)

// TestServiceTellsItsBacklogs: what the metrics can tell of the database, the service has
// given them to read.
func TestServiceTellsItsBacklogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := storeFlags{
		databaseFlag: databaseFlag{Database: "sqlite://" + filepath.Join(dir, "mayfly.db")},
		Blobs:        "file://" + filepath.Join(dir, "blobs"),
	}
	s, err := openService(t.Context(), stores, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	families, err := s.metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, f := range families {
		told[f.GetName()] = true
	}
	for _, name := range []string{"mayfly_oldest_overdue_seconds", "mayfly_oldest_unfinished_policy_change_seconds", "mayfly_oldest_open_report_seconds"} {
		if !told[name] {
			t.Errorf("nobody reads %s", name)
		}
	}
}
