package main

import (
	"context"

	"mayfly/internal/testenv/postgres"
)

// database is the PostgreSQL server that all tests share.
type database struct{}

func (database) programs() []program { return nil } // its own come with the system: see tools

func (database) start(ctx context.Context, dir string) (started, error) {
	s, err := postgres.Start(ctx, dir)
	if err != nil {
		return nil, err
	}
	return runningDatabase{s}, nil
}

// runningDatabase is a database that was started.
type runningDatabase struct{ *postgres.Server }

func (d runningDatabase) environ() []string {
	return []string{"MAYFLY_TEST_POSTGRES=" + d.URL().String(), "MAYFLY_TEST_POSTGRES_VERSION=" + d.Version()}
}

func (d runningDatabase) stop() error { return d.Stop() }
