package crashes

import (
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"mayfly/blobstore"
	"mayfly/blobstore/apart"
	"mayfly/blobstore/blobstoretest"
	"mayfly/blobstore/fsblob"
	"mayfly/internal/sqlstore"
)

// site is what outlives a process. Evidence is kept apart, as mayfly serve does.
type site struct {
	database        string // URL
	bytes, evidence place
}

// placeOf is where the bytes of key are put.
func (s site) placeOf(key blobstore.Key) place {
	if key.IsEvidence() {
		return s.evidence
	}
	return s.bytes
}

// openBytes opens both places as one store.
func (s site) openBytes(t *testing.T) *apart.Store {
	t.Helper()
	return &apart.Store{Media: s.bytes.open(t), Evidence: s.evidence.open(t)}
}

// remains are all traces of bytes in both places.
func (s site) remains(ctx context.Context) ([]string, error) {
	media, err := s.bytes.remains(ctx)
	if err != nil {
		return nil, err
	}
	evidence, err := s.evidence.remains(ctx)
	return append(media, evidence...), err
}

// closingStore is a blobstore.Store that holds something open.
type closingStore interface {
	blobstore.Store
	io.Closer
}

// place is where bytes are kept, also as one sees it past the store.
type place interface {
	open(t *testing.T) closingStore
	// seenBy is a store that is there with steps, and with all that it can do besides.
	seenBy(p *process, s *apart.Store) blobstore.Store
	// cutOff leaves what a process leaves that dies while it puts the bytes of key.
	cutOff(ctx context.Context, key blobstore.Key) error
	// remains are all traces of bytes.
	remains(ctx context.Context) ([]string, error)
}

// combination is a kind of site.
type combination struct {
	name     string
	database func(t *testing.T) string
	bytes    func(t *testing.T) place
	// direct: clients can bring bytes to the place themselves.
	direct bool
}

var combinations = []combination{
	{"SQLite, folder", newSQLite, newFolder, false},
	{"PostgreSQL, versioned bucket", newPostgres, newVersioned, true},
}

func (c combination) site(t *testing.T) site {
	t.Helper()
	s := site{c.database(t), c.bytes(t), c.bytes(t)}
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: s.database, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) // open to the end, so that no process is the last to close
	return s
}

// openRows opens the metadata store, which is there already.
func (s site) openRows(t *testing.T) *sqlstore.Store {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: s.database})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newSQLite(t *testing.T) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "mayfly.db")
}

// newPostgres makes a schema for this test alone.
func newPostgres(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(os.Getenv("MAYFLY_TEST_POSTGRES"))
	if err != nil || server.Host == "" {
		t.Fatal("MAYFLY_TEST_POSTGRES names no server: go run ./internal/testenv go test ./...")
	}
	name := "crash_" + strings.ToLower(rand.Text())
	admin(t, server, "CREATE SCHEMA "+name)
	t.Cleanup(func() { admin(t, server, "DROP SCHEMA "+name+" CASCADE") })
	options := server.Query()
	options.Set("search_path", name)
	options.Set("pool_max_conns", "4")
	mine := *server
	mine.RawQuery = options.Encode()
	return mine.String()
}

func admin(t *testing.T, server *url.URL, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also in a cleanup
	c, err := pgx.Connect(ctx, server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// folder is a place on the disk.
type folder string

func newFolder(t *testing.T) place { return folder(filepath.Join(t.TempDir(), "blobs")) }

func (f folder) open(t *testing.T) closingStore {
	t.Helper()
	s, err := fsblob.Open(string(f))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f folder) seenBy(p *process, s *apart.Store) blobstore.Store { return stepped(p, s) }

// stepped makes steps of all calls that every store has.
func stepped(p *process, s blobstore.Store) *blobstoretest.Faulty {
	faulty := &blobstoretest.Faulty{Store: s}
	faulty.Fail(p.rule)
	return faulty
}

// cutOff puts a blob, and then lets its file look like one that was not finished.
func (f folder) cutOff(ctx context.Context, key blobstore.Key) error {
	s, err := fsblob.Open(string(f))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Put(ctx, key, strings.NewReader("begun"), 5); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(string(f), "*", string(key)))
	if err == nil && len(files) != 1 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	return os.Rename(files[0], files[0]+"."+rand.Text()+".part")
}

func (f folder) remains(context.Context) (all []string, err error) {
	err = filepath.WalkDir(string(f), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	return all, err
}
