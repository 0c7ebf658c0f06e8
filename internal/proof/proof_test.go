package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"mayfly/internal/testenv/postgres"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := built.dir; dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// built are the programs, built once for all tests.
var built struct {
	once     sync.Once
	dir      string
	programs programs
	err      error
}

func buildOnce(t *testing.T) programs {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "mayfly-proof-"); built.err == nil {
			built.programs, built.err = build(context.Background(), built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.programs
}

// newSite starts two replicas and stops them at the end of the test.
func newSite(t *testing.T, cfg siteConfig) *site {
	t.Helper()
	cfg.replicas, cfg.programs = 2, buildOnce(t)
	s, err := startSite(t.Context(), t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) try(t *testing.T, what trial) *figures {
	t.Helper()
	f, err := s.prove(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOnce is the proof, in short: real replicas, PostgreSQL and MinIO; kills, and a crash
// of the database.
func TestOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig{database: ownPostgres})
	short := command{Database: ownPostgres, Kills: -1, Crashes: -1, Connections: 64, Seed: 1}
	var all []*figures
	for _, what := range short.trials() {
		f := s.try(t, what)
		for _, err := range f.failures() {
			t.Errorf("%s: %v", f.shape, err)
		}
		if err := f.report(t.Output(), t.ArtifactDir()); err != nil {
			t.Error(err)
		}
		all = append(all, f)
	}
	if err := table(t.Output(), all); err != nil {
		t.Error(err)
	}
}

// TestPlanted proves the proof: each bug is found, by porcupine and by the count, and
// nothing is found in the same program without a bug.
func TestPlanted(t *testing.T) {
	t.Parallel()
	database := newPostgres(t)
	for _, c := range []struct {
		plant  string
		caught bool
	}{
		{"none", false},
		{"select-then-update", true},
		{"count-at-the-end", true},
		{"answer-before-commit", true},
	} {
		t.Run(c.plant, func(t *testing.T) {
			s := newSite(t, siteConfig{running: database, plant: c.plant})
			f := s.try(t, trial{shape: shape{40, 12}, seed: 1, connections: 48})
			if caught := f.verdict.illegal > 0; caught != c.caught || f.verdict.unknown > 0 {
				t.Errorf("porcupine says %s", f.verdict)
			}
			if caught := f.doubles > 0; caught != c.caught {
				t.Errorf("%d tickets were served twice", f.doubles)
			}
			if f.faultCount > 0 {
				t.Errorf("answers that must not be: %q", f.faults)
			}
			t.Logf("of %d tickets %d were served twice, porcupine: %s", f.Tickets, f.doubles, f.verdict)
		})
	}
}

// TestForgottenByKill shows that kill -9 does what it is there for: it finds a spend
// that was answered and not yet committed. All who ask for a ticket while that happens
// ask one replica, which knows about it, but for the last, who comes after the kill.
func TestForgottenByKill(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteConfig{running: newPostgres(t), plant: "answer-before-commit"})
	f := s.try(t, trial{shape: shape{300, 6}, seed: 1, connections: 16, kills: 2, apart: true})
	found := 0
	for _, o := range f.verdict.offences {
		if f.history.forgotten(f.history.tickets[o.ticket].ops) {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no spend was forgotten: %d kills, porcupine says %s", f.kills, f.verdict)
	}
	t.Logf("%d kills made %d spends forgotten", f.kills, found)
}

// forgotten reports whether the ticket was served by a replica, this one was killed, and
// somebody else was served.
func (h *history) forgotten(ops []operation) bool {
	for _, first := range ops {
		for _, second := range ops {
			if first.answer != served || second.answer != served || first.opener == second.opener {
				continue
			}
			for _, k := range h.kills {
				if k.replica == int(first.replica) && first.answered < k.from && k.from < second.call {
					return true
				}
			}
		}
	}
	return false
}

func newPostgres(t *testing.T) database {
	t.Helper()
	s, err := postgres.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &postgresServer{s}
}
