package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"mayfly/internal/testenv/postgres"
)

// database is where the replicas keep the rows.
type database interface {
	// url is the value of --database.
	url() string
	// describe is the same for people, without a password.
	describe() string
	// crash kills the database with all its connections and starts it again. It
	// fails with errNotOurs.
	crash(ctx context.Context) error
	stop() error
}

// errNotOurs: who did not start a database does not crash it.
var errNotOurs = errors.New("this database cannot be crashed from here")

// The names of databases that are started for the run; anything else is a URL.
const (
	ownPostgres = "postgres"
	ownSQLite   = "sqlite"
)

func startDatabase(ctx context.Context, name, dir string) (database, error) {
	switch name {
	case ownPostgres:
		s, err := postgres.Start(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("start PostgreSQL: %w", err)
		}
		return &postgresServer{s}, nil
	case ownSQLite:
		return givenDatabase("sqlite://" + filepath.Join(dir, "mayfly.db")), nil
	}
	return givenDatabase(name), nil
}

// postgresServer is a PostgreSQL of our own.
type postgresServer struct{ *postgres.Server }

func (s *postgresServer) url() string      { return s.URL().String() }
func (s *postgresServer) describe() string { return "PostgreSQL " + s.Version() }
func (s *postgresServer) stop() error      { return s.Stop() }

func (s *postgresServer) crash(ctx context.Context) error {
	if err := s.Crash(); err != nil {
		return err
	}
	return s.Restart(ctx)
}

// givenDatabase is one that is there already, or that Mayfly makes.
type givenDatabase string

func (d givenDatabase) url() string { return string(d) }

func (d givenDatabase) describe() string {
	scheme, _, _ := strings.Cut(string(d), "://")
	return scheme
}

func (givenDatabase) crash(context.Context) error { return errNotOurs }
func (givenDatabase) stop() error                 { return nil }
