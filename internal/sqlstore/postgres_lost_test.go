package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// cutter is a network that breaks once, at what is sent with these bytes in it: before the
// server has it, or when it has answered and nobody hears.
type cutter struct {
	at    atomic.Pointer[string]
	heard bool   // by the server
	first func() // what happens before it breaks
}

func (n *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &cutConn{Conn: c, network: n}, err
}

type cutConn struct {
	net.Conn
	network *cutter
	cut     atomic.Bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	at := c.network.at.Load()
	if at == nil || !bytes.Contains(p, []byte(*at)) || !c.network.at.CompareAndSwap(at, nil) {
		return c.Conn.Write(p)
	}
	c.cut.Store(true)
	if c.network.first != nil {
		c.network.first()
	}
	if c.network.heard {
		if n, err := c.Conn.Write(p); err != nil {
			return n, err
		}
		// The server answers when it is done.
		if _, err := c.Conn.Read(make([]byte, 1024)); err != nil {
			return 0, err
		}
	}
	return len(p), c.Conn.Close()
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.cut.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return c.Conn.Read(p)
}

// aCommit is what the driver sends at the end of a transaction.
const aCommit = "commit\x00"

// breaking are a store and the network that it is on.
func breaking(t *testing.T, u *url.URL, heard bool) (*Store, *cutter) {
	t.Helper()
	l, err := parsePostgres(u.String())
	if err != nil {
		t.Fatal(err)
	}
	network := &cutter{heard: heard}
	l.cfg.ConnConfig.DialFunc = network.dial
	db, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if network.at.Load() != nil {
			t.Error("nothing broke")
		}
		if err := db.close(); err != nil {
			t.Error(err)
		}
	})
	return &Store{db: db}, network
}

func (n *cutter) breakAt(sent string) { n.at.Store(&sent) }

// heards are both ways to lose an answer.
var heards = map[string]bool{"done": true, "not done": false}

// TestWriteWithoutAnAnswer: a transaction whose commit may have happened is not run again.
func TestWriteWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, done := range heards {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSchema(t, testServer(t))
			of := storeMany(t, openURL(t, u), 1)[0]
			st, network := breaking(t, u, done)
			network.breakAt(aCommit)
			err := st.Contest(t.Context(), map[uuid.UUID]int64{of.ID: 1})
			_, found, readErr := st.Blob(t.Context(), "acme", of.BlobID, 1)
			if err == nil || errors.Is(err, errAgain) || readErr != nil || (found[0].Contested == 1) != done || found[0].Contested > 1 {
				t.Errorf("%v; counted %d, %v", err, found[0].Contested, readErr)
			}
		})
	}
}

// TestLostBeforeTheCommit: what breaks off earlier is not committed, and is run again.
func TestLostBeforeTheCommit(t *testing.T) {
	t.Parallel()
	for name, done := range heards {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSchema(t, testServer(t))
			of := storeMany(t, openURL(t, u), 1)[0]
			st, network := breaking(t, u, done)
			network.breakAt(string(of.ID[:]))
			err := st.Contest(t.Context(), map[uuid.UUID]int64{of.ID: 1})
			_, found, readErr := st.Blob(t.Context(), "acme", of.BlobID, 1)
			if err != nil || readErr != nil || found[0].Contested != 1 {
				t.Errorf("%v; counted %d, %v", err, found[0].Contested, readErr)
			}
		})
	}
}

// TestUploadWithoutAnAnswer: an upload whose row may be there is not refused, or its bytes
// would be deleted (P1).
func TestUploadWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, done := range heards {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSchema(t, testServer(t))
			a := reservedBlob(t, openURL(t, u), "alice")
			st, network := breaking(t, u, done)
			network.breakAt(string(a.Key))
			err := st.Create(t.Context(), a.Blob, a.tickets)
			if err == nil || errors.Is(err, tickets.ErrTooLate) {
				t.Errorf("%v", err)
			}
			if _, _, err := st.Blob(t.Context(), "acme", a.ID, 1); (err == nil) != done {
				t.Errorf("its row: %v", err)
			}
		})
	}
}

// TestMoreTicketsWithoutAnAnswer: a commit whose answer is lost is looked for, and told as
// what it was.
func TestMoreTicketsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, done := range heards {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newSchema(t, testServer(t))
			ts := storeMany(t, openURL(t, u), 2)
			st, network := breaking(t, u, done)
			stranger := moreFor(ts[0], 1)
			stranger.tenant = "stranger"
			batch := []*issuing{{moreTickets: stranger}, {moreTickets: moreFor(ts[0], 2)}, {moreTickets: moreFor(ts[1], 1)}}
			network.breakAt(aCommit)
			errs := st.db.(*postgresDatabase).issueAll(batch)
			for i, m := range batch {
				_, found, err := st.Blob(t.Context(), "acme", m.blob, 10)
				if (errs[i] == nil) != done || err != nil || (len(found) > 1) != done {
					t.Errorf("call %d: %v; its blob has %d tickets, %v", i, errs[i], len(found), err)
				}
				if refused := errors.Is(m.refusal, tickets.ErrUnknownBlob); refused != (i == 0) || done && (m.stored.ID == m.blob) == refused {
					t.Errorf("call %d: %v, blob %s", i, m.refusal, m.stored.ID)
				}
			}
			again := moreFor(ts[0], 1)
			if _, err := st.AddTickets(t.Context(), again.tenant, again.blob, again.tickets, again.limit, again.now); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMoreTicketsCannotBeAskedFor: a batch whose commit may have happened is not run again, also
// where nobody can tell, since another one has the blob.
func TestMoreTicketsCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	u := newSchema(t, testServer(t))
	ts := storeMany(t, openURL(t, u), 2)
	st, network := breaking(t, u, false)
	other, watch := sessionAt(t, u), sessionAt(t, u)
	var pid uint32
	execute(t, other, "BEGIN")
	pid = other.PgConn().PID()
	locked := make(chan error, 1)
	network.first = func() { // in the queue for the blob, which is the batch's until the server sees that it broke off
		go func() {
			_, err := other.Exec(t.Context(), `SELECT 1 FROM blobs WHERE id = $1 FOR UPDATE`, ts[0].BlobID[:])
			locked <- err
		}()
		for waiting := false; !waiting; {
			if err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = $1 AND NOT granted)`, pid).Scan(&waiting); err != nil {
				t.Error(err)
				return
			}
		}
	}
	network.breakAt(aCommit)
	errs := st.db.(*postgresDatabase).issueAll([]*issuing{{moreTickets: moreFor(ts[0], 1)}, {moreTickets: moreFor(ts[1], 1)}})
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if !errors.Is(err, errCommit) || errors.Is(err, ErrBusy) || errors.Is(err, errAgain) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	execute(t, other, "ROLLBACK")
}
