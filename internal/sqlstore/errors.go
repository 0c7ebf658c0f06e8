package sqlstore

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mayfly/blobstore"
)

var (
	// ErrURL: the database's URL is none that this package opens.
	ErrURL = errors.New("database URL")
	// ErrMissing: there is no database at the URL, and none was to be made.
	ErrMissing = errors.New("no database")
	// ErrSchemaOld: the schema must be migrated first.
	ErrSchemaOld = errors.New("the database's schema is older than this program")
	// ErrSchemaNew: a newer program has migrated the schema. There is no way back.
	ErrSchemaNew = errors.New("the database's schema is newer than this program")
	// ErrWeak: the database does not take a setting that a promise needs.
	ErrWeak = errors.New("the database cannot keep Mayfly's promises")
	// ErrBusy: another process kept the database from us for longer than busyTimeout.
	ErrBusy = errors.New("the database is busy")
	// ErrCorrupt: the file is damaged, or no database.
	ErrCorrupt = errors.New("the database is damaged")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the metadata store is closed")
)

// classify names the errors of the driver that a caller can act on, by their code:
// https://sqlite.org/rescode.html. A full disk is blobstore.ErrNoSpace, whichever
// of our two stores met it: to callers it is one condition with one remedy.
func classify(err error) error {
	var coded *sqlite.Error
	if !errors.As(err, &coded) {
		return err
	}
	switch code := coded.Code(); {
	case code == sqlite3.SQLITE_IOERR_SHMSIZE: // the -shm file could not grow
		return fmt.Errorf("%w: %w", blobstore.ErrNoSpace, err)
	case code&0xff == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", blobstore.ErrNoSpace, err)
	case code&0xff == sqlite3.SQLITE_BUSY, code&0xff == sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case code&0xff == sqlite3.SQLITE_CORRUPT, code&0xff == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
