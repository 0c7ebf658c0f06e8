package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"mayfly/tickets"
)

// sessionAt is a connection past the store, as somebody at psql has one.
func sessionAt(t *testing.T, u *url.URL) *pgx.Conn {
	t.Helper()
	there := *u
	options := there.Query()
	options.Del("pool_max_conns") // the pool's, not the server's
	options.Set("application_name", "test")
	there.RawQuery = options.Encode()
	c, err := pgx.Connect(t.Context(), there.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func execute(t *testing.T, c *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// failingCommits has the commits of statements that write such rows fail, after the
// server has sent the rows of its answer: as a commit at SERIALIZABLE may, and on
// engines that are optimistic.
func failingCommits(t *testing.T, c *pgx.Conn, event, when string) {
	t.Helper()
	execute(t, c, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'at the commit' USING ERRCODE = '23000'; END $$`)
	execute(t, c, fmt.Sprintf(`CREATE CONSTRAINT TRIGGER fail AFTER %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (%s) EXECUTE FUNCTION fail()`, event, when))
}

// TestCommitOfABatchFails: what was answered before the commit failed is forgotten. The
// batch is run again one by one, and by then another replica may have been faster (P2).
func TestCommitOfABatchFails(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	a := openURL(t, u)
	ts := storeMany(t, a, 2)
	bad, taken := ts[0], ts[1]
	c := sessionAt(t, u)
	failingCommits(t, c, "UPDATE ON blobs", fmt.Sprintf("OLD.id = '%s'", bad.BlobID))
	batch := []*spending{{Spend: spendFor(bad, hashOf(uuid.New()))}, {Spend: spendFor(taken, hashOf(uuid.New()))}}
	first := true
	errs := alone(batch, errOfBatch(t, a, batch), func(one []*spending) []error {
		if first { // between the batch and its second try
			first = false
			if won, err := openURL(t, u).Spend(t.Context(), spendFor(taken, hashOf(uuid.New()))); err != nil || !won {
				t.Fatal(won, err)
			}
		}
		return a.db.(*postgresDatabase).spendAll(one)
	})
	if batch[0].won || errs[0] == nil {
		t.Errorf("its commit failed: won %v, %v", batch[0].won, errs[0])
	}
	if batch[1].won || errs[1] != nil {
		t.Errorf("another was faster: won %v, %v", batch[1].won, errs[1])
	}
}

// errOfBatch is why the batch fails as a whole; nobody may have been told of success.
func errOfBatch(t *testing.T, st *Store, batch []*spending) error {
	t.Helper()
	n, id, blob, hash, claim, now := places{}, ids{}, ids{}, hashes{}, hashes{}, places{}
	for i, s := range batch {
		n, id, blob = append(n, int64(i)), append(id, s.Ticket), append(blob, s.Blob)
		hash, claim, now = append(hash, s.Hash[:]), append(claim, s.Claim[:]), append(now, micros(s.Now))
	}
	won, err := together(st.db.(*postgresDatabase).writes, false, spendTickets, []any{n, id, blob, hash, claim, now}, (*row).int)
	if err == nil || len(won) != 0 {
		t.Fatalf("won %v, %v", won, err)
	}
	return err
}

// TestUploadsCommitFails: an upload whose row is not committed is not acknowledged, and
// those that shared its batch are (P1).
func TestUploadsCommitFails(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	st := openURL(t, u)
	failingCommits(t, sessionAt(t, u), "INSERT ON tickets", "NEW.recipient = 'bad'")
	var batch []*adding
	for _, recipient := range []string{"alice", "bad", "carol"} {
		batch = append(batch, reservedBlob(t, st, recipient))
	}
	errs := st.db.(*postgresDatabase).addAll(batch)
	for i, a := range batch {
		_, _, err := st.Blob(t.Context(), "acme", a.ID, 1)
		wantRow := a.tickets[0].Recipient != "bad"
		if (err == nil) != wantRow || a.added != wantRow || (errs[i] == nil) != wantRow {
			t.Errorf("%s: added %v, %v; its row: %v", a.tickets[0].Recipient, a.added, errs[i], err)
		}
	}
}

func reservedBlob(t *testing.T, st *Store, recipient string) *adding {
	t.Helper()
	b, ts := benchBlob()
	ts[0].Recipient = recipient
	b.State, b.Key, b.StoredAt = tickets.BlobStored, benchKey(b.ID), benchStart
	b.ExpiresAt, b.PurgeAt = benchStart.Add(336*time.Hour), benchStart.Add(336*time.Hour)
	if err := st.Reserve(t.Context(), []tickets.Attempt{{ID: b.ID, Key: b.Key, Due: b.UploadUntil}}); err != nil {
		t.Fatal(err)
	}
	return &adding{newBlob: newBlob{Blob: b, tickets: ts, fromAttempt: true}}
}

// TestHeldRow: whoever holds a blob's row keeps the opens of that blob waiting, for a
// moment, and of no other for longer than that.
func TestHeldRow(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	options := u.Query()
	options.Del("lock_timeout") // Mayfly's own is what this is about
	u.RawQuery = options.Encode()
	st := openURL(t, u)
	ts := storeMany(t, st, 2)
	c := sessionAt(t, u)
	execute(t, c, "BEGIN")
	execute(t, c, `SELECT 1 FROM blobs WHERE id = $1 FOR UPDATE`, ts[0].BlobID[:])
	errs := st.db.(*postgresDatabase).spendAll([]*spending{{Spend: spendFor(ts[0], ts[0].Hash)}, {Spend: spendFor(ts[1], ts[1].Hash)}})
	if !errors.Is(errs[0], ErrBusy) || errs[1] != nil {
		t.Fatalf("the held one: %v, the other: %v", errs[0], errs[1])
	}
	execute(t, c, "ROLLBACK")
	if won, err := st.Spend(t.Context(), spendFor(ts[0], ts[0].Hash)); err != nil || !won {
		t.Fatal(won, err)
	}
}

// TestBurstOfReports: many who wait for the audit log of a tenant leave connections to
// those who open.
func TestBurstOfReports(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	st := openURL(t, u)
	ts := storeMany(t, st, 14)
	fileOf(t, st, ts[0], benchStart) // the chain begins
	c := sessionAt(t, u)
	execute(t, c, "BEGIN")
	execute(t, c, `SELECT 1 FROM audit_heads FOR UPDATE`)
	filed := make(chan error, 12)
	for _, ticket := range ts[1:13] {
		go func() {
			_, _, err := st.File(t.Context(), filingFor(ticket, benchStart))
			filed <- err
		}()
	}
	looks := sessionAt(t, u) // a transaction sees one moment only
	for waiting := 0; waiting < auditors; {
		if err := looks.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`,
			u.Query().Get("application_name")).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if won, err := st.Spend(t.Context(), spendFor(ts[13], ts[13].Hash)); err != nil || !won {
		t.Fatal(won, err)
	}
	if len(filed) > 0 {
		t.Fatalf("a report did not wait: %v", <-filed)
	}
	execute(t, c, "ROLLBACK")
	for range 12 {
		if err := <-filed; err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsEnd: what only read, or had only begun, is done again when the server
// ends its connections, as a restart does.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	st := openURL(t, u)
	ts := storeMany(t, st, 1)
	c := sessionAt(t, u)
	for name, do := range map[string]func() error{
		"ping":   func() error { return st.Ping(t.Context()) },
		"blob":   func() error { _, _, err := st.Blob(t.Context(), "acme", ts[0].BlobID, 1); return err },
		"lookup": func() error { _, _, err := st.FindTicket(t.Context(), ts[0].ID, ts[0].Hash); return err },
		"write":  func() error { return st.Contest(t.Context(), map[uuid.UUID]int64{ts[0].ID: 1}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		execute(t, c, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1`, u.Query().Get("application_name"))
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReload: a setting that is taken back while connections live does not reach them,
// or ends them.
func TestReload(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	u := newSchema(t, server.URL())
	st := openURL(t, u)
	if err := st.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := st.db.(*postgresDatabase)
	admin(t, server.URL(), "ALTER SYSTEM SET synchronous_commit = off")
	admin(t, server.URL(), "SELECT pg_reload_conf()")
	err := db.write(t.Context(), 1, func(c *conn) error {
		_, err := c.first("SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'", nil, func(r *row) {
			if got := r.text(); got != "on" {
				t.Errorf("a connection that was verified has synchronous_commit %s", got)
			}
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	admin(t, server.URL(), "ALTER SYSTEM RESET synchronous_commit")
	admin(t, server.URL(), "ALTER SYSTEM SET full_page_writes = off")
	admin(t, server.URL(), "SELECT pg_reload_conf()")
	for _, c := range db.writes.AcquireAllIdle(t.Context()) {
		delete(c.Conn().PgConn().CustomData(), verified) // as if a minute had passed
		waitForSetting(t, c.Conn(), "full_page_writes", "off")
		c.Release()
	}
	if err := db.write(t.Context(), 1, func(*conn) error { return nil }); !errors.Is(err, ErrWeak) {
		t.Fatalf("%v, want %v", err, ErrWeak)
	}
}

// waitForSetting asks until a reload has reached the session.
func waitForSetting(t *testing.T, c *pgx.Conn, name, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for got := ""; got != want; {
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreEndsReplicas: a replica that runs while a restore begins does not go on.
func TestRestoreEndsReplicas(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	replica := openURL(t, u)
	ts := storeMany(t, replica, 1)
	must(t, replica, func(c *conn) error { // as one that is under way
		id := uuid.New()
		_, err := c.exec(`INSERT INTO restores (id, began_at) VALUES ($1, $2)`, id[:], micros(benchStart))
		return err
	})
	l, err := parsePostgres(u.String())
	if err != nil {
		t.Fatal(err)
	}
	l.restoring = true
	restorer, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer restorer.close()
	restorer.(*postgresDatabase).endOthers(t.Context())
	won, err := replica.Spend(t.Context(), spendFor(ts[0], ts[0].Hash))
	for err != nil && !errors.Is(err, ErrRestoring) { // the ended connection is found to be lost first
		won, err = replica.Spend(t.Context(), spendFor(ts[0], ts[0].Hash))
	}
	if won || !errors.Is(err, ErrRestoring) {
		t.Fatalf("%v, %v", won, err)
	}
	if blobs, err := Restored(t.Context(), Config{URL: u.String()}, benchStart.AddDate(1, 0, 0)); err != nil || blobs != 1 {
		t.Fatal(blobs, err)
	}
	if won, err := replica.Spend(t.Context(), spendFor(ts[0], ts[0].Hash)); err != nil || won {
		t.Fatalf("after the restore, by a clock that was a year ahead: %v, %v", won, err)
	}
}

// twice runs each long read a second time, as after a connection that was lost.
type twice struct{ database }

func (d twice) readLong(ctx context.Context, do func(*conn) error) error {
	return d.database.readLong(ctx, func(c *conn) error { return errors.Join(do(c), do(c)) })
}

// TestReadTwice: a read that is done again answers once.
func TestReadTwice(t *testing.T) {
	t.Parallel()
	st := openURL(t, newSchema(t, testServer(t)))
	ts := storeMany(t, st, 3)
	again := &Store{db: twice{st.db}, audits: st.audits}
	_, found, err := again.Blob(t.Context(), "acme", ts[0].BlobID, 10)
	page, pageErr := again.Stored(t.Context(), uuid.UUID{}, 100)
	due, dueErr := again.Preview(t.Context(), benchStart.AddDate(1, 0, 0))
	if err := errors.Join(err, pageErr, dueErr); err != nil || len(found) != 1 || len(page) != 3 || len(due) != 1 {
		t.Fatalf("%d tickets, %d stored, %d reasons, %v", len(found), len(page), len(due), err)
	}
}

// TestPostgresClosed: all that comes after Close is told so.
func TestPostgresClosed(t *testing.T) {
	t.Parallel()
	st := openURL(t, newSchema(t, testServer(t)))
	var closes sync.WaitGroup
	for range 2 {
		closes.Go(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closes.Wait()
	_, _, err := st.Blob(t.Context(), "acme", uuid.New(), 1)
	_, spendErr := st.Spend(t.Context(), tickets.Spend{Now: benchStart})
	for _, err := range []error{err, spendErr, st.Unsend(t.Context(), "acme", uuid.New(), benchStart)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want %v", err, ErrClosed)
		}
	}
}
