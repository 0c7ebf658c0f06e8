//go:build unix

package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"mayfly/tickets"
)

// BenchmarkPostgresSpend is what 64 callers spend through the store; internal/bench
// sets it against pgbench's single-row updates on the same server.
func BenchmarkPostgresSpend(b *testing.B) {
	table := newLoaded(b)
	table.load(b, b.N)
	order := rand.Perm(b.N)
	b.ReportAllocs()
	table.each(b, "spends/s", order, func(t tickets.Ticket) { table.spend(b, t) })
}

// BenchmarkPostgresAddTickets is 64 callers who ask for another ticket of a blob each.
func BenchmarkPostgresAddTickets(b *testing.B) {
	table := newLoaded(b)
	table.load(b, b.N)
	table.each(b, "calls/s", rand.Perm(b.N), func(t tickets.Ticket) {
		more := tickets.Ticket{ID: uuid.New(), BlobID: t.BlobID, Hash: t.Hash, Recipient: "bob", State: tickets.TicketReady, CreatedAt: benchStart}
		if _, err := table.AddTickets(b.Context(), "acme", t.BlobID, []tickets.Ticket{more}, tickets.MaxTickets, benchStart); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkPostgresTables is what an open asks of the store, a FindTicket and a Spend,
// of tickets all over a small table, all over a large one, and of the young ones of the
// large one, which were stored last, in turn. How large they are, and how many turns, is
// in TABLE_TICKETS ("10000,10000000") and TABLE_ROUNDS. The small one is loaded again for
// each turn: it has no more tickets than a turn opens. As many are stored in the large one
// before the young ones of a turn are opened.
func BenchmarkPostgresTables(b *testing.B) {
	sizes := strings.Split(setting("TABLE_TICKETS", "10000,100000"), ",")
	if len(sizes) != 2 {
		b.Fatal("TABLE_TICKETS is not like 10000,10000000")
	}
	small, large := number(b, sizes[0]), number(b, sizes[1])
	tables := map[int]*loaded{small: newLoaded(b), large: newLoaded(b)}
	order := rand.Perm(large)
	tables[large].load(b, large)
	for round := range number(b, setting("TABLE_ROUNDS", "1")) {
		turns := []string{strconv.Itoa(small), strconv.Itoa(large), young}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			b.Run(turn, func(b *testing.B) {
				table, these := tables[large], rand.Perm(small)
				switch turn {
				case young:
					from := table.n
					table.insert(b, small)
					for i := range these {
						these[i] += from
					}
				case strconv.Itoa(small):
					table = tables[small]
					table.load(b, small)
				default:
					if b.N <= len(order) {
						these, order = order[:b.N], order[b.N:]
					}
				}
				if b.N > len(these) {
					b.Fatalf("%d opens are more than the table has tickets: give -benchtime as 8000x", b.N)
				}
				table.each(b, "opens/s", these[:b.N], func(t tickets.Ticket) {
					if _, _, err := table.FindTicket(b.Context(), t.ID, t.Hash); err != nil {
						b.Error(err)
					}
					table.spend(b, t)
				})
			})
		}
	}
}

// young is the turn of those that were stored last.
const young = "young"

func setting(name, otherwise string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return otherwise
}

func number(b *testing.B, s string) int {
	b.Helper()
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		b.Fatalf("%q is no number of tickets or rounds", s)
	}
	return n
}

// loaded is a store on a schema of its own, whose tickets are known by their number.
type loaded struct {
	*Store
	server *url.URL
	url    *url.URL // of its schema on it
	schema string
	n      int
}

func newLoaded(b testing.TB) *loaded {
	b.Helper()
	server := testServer(b)
	u := newSchema(b, server)
	// Not openURL: it judges plans, which are made for the benchmark's first run, of one ticket.
	st, err := Open(b.Context(), Config{URL: u.String(), Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	return &loaded{Store: st, server: server, url: u, schema: u.Query().Get("search_path")}
}

// load puts n ready tickets in the place of all that is there, each of a blob of its
// own: as ticket says, and with the statistics that autovacuum would make in time.
func (l *loaded) load(b testing.TB, n int) {
	b.Helper()
	admin(b, l.server, l.in(`TRUNCATE IN.blobs, IN.tickets`))
	l.n = 0
	l.insert(b, n)
	admin(b, l.server, l.in(`VACUUM ANALYZE IN.blobs, IN.tickets`))
}

func (l *loaded) in(statement string) string {
	return strings.ReplaceAll(statement, "IN.", l.schema+".")
}

// insert adds n, numbered from the last one on.
func (l *loaded) insert(b testing.TB, n int) {
	b.Helper()
	for _, statement := range []string{
		`INSERT INTO IN.blobs (id, tenant, state, policy, unlimited, shared_ticket, unopened_ttl, report_window, resume_window, upload_ttl,
				tombstone_ttl, max_size, keep, size, sha256, key, key_commitment, context, ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at)
			SELECT uuid(lpad(to_hex(n), 31, '0') || 'b'), 'acme', 'stored', 'view-once', 0, 0, 1209600000000, 259200000000, 900000000, 86400000000,
				7776000000000, 2147483648, 259200000000, 4096, sha256(int8send(n)), lpad(to_hex(n), 32, '0') || '-0123456789abcdef', '', '',
				1, $2, $2, $2, $2 + 1209600000000 + n, $2 + 1209600000000 + n, $2 + 259200000000
			FROM generate_series(CAST($3 AS BIGINT), $3 + $1 - 1) n`,
		`INSERT INTO IN.tickets (id, blob_id, token_hash, recipient, state, created_at)
			SELECT uuid(lpad(to_hex(n), 31, '0') || 'a'), uuid(lpad(to_hex(n), 31, '0') || 'b'), sha256(int8send(n)), 'alice', 'ready', $2
			FROM generate_series(CAST($3 AS BIGINT), $3 + $1 - 1) n`,
	} {
		admin(b, l.server, l.in(statement), int64(n), micros(benchStart), int64(l.n))
	}
	l.n += n
}

// ticket is one of those that load makes.
func ticket(n int) (t tickets.Ticket) {
	t.ID, t.BlobID = numbered(n, 0xa), numbered(n, 0xb)
	t.Hash = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return t
}

func numbered(n int, last uint64) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)<<4|last)
	return id
}

// each does the tickets of these numbers, by 64 callers, and reports how many it were
// in a second.
func (l *loaded) each(b *testing.B, unit string, numbers []int, do func(tickets.Ticket)) {
	// What was loaded is on disk, and nobody writes it there meanwhile. The first change
	// of a page is logged with the whole page, as after every checkpoint.
	admin(b, l.server, "CHECKPOINT")
	unix.Sync()
	var next atomic.Int64
	b.ResetTimer()
	defer reportCPU(b, cpuTime())
	parallel(callers, func() {
		for i := int(next.Add(1)); i <= len(numbers); i = int(next.Add(1)) {
			do(ticket(numbers[i-1]))
		}
	})
	b.ReportMetric(float64(len(numbers))/b.Elapsed().Seconds(), unit)
}

func (l *loaded) spend(b *testing.B, t tickets.Ticket) {
	won, err := l.Spend(b.Context(), tickets.Spend{Ticket: t.ID, Blob: t.BlobID, Hash: t.Hash, Claim: t.Hash, Now: benchStart})
	if err != nil || !won {
		b.Errorf("spend: %v, %v", won, err)
	}
}
