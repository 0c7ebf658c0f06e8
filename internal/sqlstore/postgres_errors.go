package sqlstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"mayfly/blobstore"
)

// Codes of https://www.postgresql.org/docs/15/errcodes-appendix.html.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
	divisionByZero       = "22012"
	diskFull             = "53100"
	unknownDatabase      = "3D000"
	readOnlyTransaction  = "25006"
	dataCorrupted        = "XX001"
	indexCorrupted       = "XX002"
	undefinedTable       = "42P01"
)

var (
	// errAgain marks an error with which nothing was done, and that may not come again.
	errAgain = errors.New("to be tried again")
	// errLost is a connection that ended, of somebody who had only read, or not yet asked
	// for the commit.
	errLost = errors.New("the connection was lost")
	// errCommit is an error of a commit, and of nothing before it.
	errCommit = errors.New("commit")
)

// ofConnection: a connection that ended with this code, or without any, did so by itself or by
// order (classes 08 and 57), and not by what was asked.
func ofConnection(code string) bool {
	return code == "" || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57")
}

// code is the SQLSTATE of a server's error, "" of others.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// classifyPostgres names the errors that a caller can act on.
func classifyPostgres(err error) error {
	if errors.Is(err, errLost) { // whatever the server said before it hung up: nothing was done
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	switch code(err) {
	case serializationFailure, deadlockDetected:
		return fmt.Errorf("%w: %w", errAgain, err)
	case lockNotAvailable:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case diskFull:
		return fmt.Errorf("%w: %w", blobstore.ErrNoSpace, err)
	case unknownDatabase:
		return fmt.Errorf("%w: %w: make it with createdb", ErrMissing, err)
	case dataCorrupted, indexCorrupted:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case "":
		// Nothing was sent. The driver says so too of a commit that was, if the connection
		// ended before its answer: "conn closed".
		if pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) {
			return fmt.Errorf("%w: %w", errAgain, err)
		}
	}
	return err
}
