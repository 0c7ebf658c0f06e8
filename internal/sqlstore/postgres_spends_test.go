package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"mayfly/tickets"
)

// TestSpendsOfABatch: whatever stands in one batch with others decides nothing for them. A
// batch with somebody who cannot win is undone as a whole, and decided again: who can, wins,
// and every blob counts its open tickets right.
func TestSpendsOfABatch(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, *Store, *tickets.Spend){
		"nobody": func(*testing.T, *Store, *tickets.Spend) {},
		"opened before": func(t *testing.T, st *Store, sp *tickets.Spend) {
			if won, err := st.Spend(t.Context(), tickets.Spend{Ticket: sp.Ticket, Blob: sp.Blob, Hash: sp.Hash, Claim: hashOf(uuid.New()), Now: benchStart}); err != nil || !won {
				t.Fatal(won, err)
			}
		},
		"revoked": func(t *testing.T, st *Store, sp *tickets.Spend) {
			if err := st.Revoke(t.Context(), "acme", sp.Blob, sp.Ticket, benchStart); err != nil {
				t.Fatal(err)
			}
		},
		"unsent": func(t *testing.T, st *Store, sp *tickets.Spend) {
			if err := st.Unsend(t.Context(), "acme", sp.Blob, benchStart); err != nil {
				t.Fatal(err)
			}
		},
		"another's token":                      func(_ *testing.T, _ *Store, sp *tickets.Spend) { sp.Hash = hashOf(uuid.New()) },
		"another's blob":                       func(_ *testing.T, _ *Store, sp *tickets.Spend) { sp.Blob = uuid.New() },
		"too late":                             func(_ *testing.T, _ *Store, sp *tickets.Spend) { sp.Now = benchStart.AddDate(1, 0, 0) },
		"said to be opened before, and is not": func(_ *testing.T, _ *Store, sp *tickets.Spend) { sp.Again = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := openURL(t, newSchema(t, testServer(t)))
			var batch []*spending
			for _, of := range storeMany(t, st, 4) {
				batch = append(batch, &spending{Spend: spendFor(of, hashOf(uuid.New()))})
			}
			spoilt := batch[2]
			spoil(t, st, &spoilt.Spend)
			twice := *batch[0] // wants the same ticket, later in the batch
			twice.Claim = hashOf(uuid.New())
			batch = append(batch, &twice)
			for i, err := range st.db.(*postgresDatabase).spendAll(batch) {
				want := i != 4 && (batch[i] != spoilt || name == "nobody")
				if err != nil || batch[i].won != want {
					t.Errorf("spend %d: won %v, %v, want %v", i, batch[i].won, err, want)
				}
				if i == 2 || i == 4 {
					continue
				}
				b, found, err := st.Blob(t.Context(), "acme", batch[i].Blob, 10)
				if err != nil || found[0].Claim != batch[i].Claim || !b.PurgeAt.Equal(benchStart.Add(72*time.Hour)) {
					t.Errorf("blob of spend %d: purge at %v, its ticket is %s; %v", i, b.PurgeAt, found[0].State, err)
				}
			}
		})
	}
}

// TestSpendBehindOneThatCannotWin: of two who want one ticket in a batch the second wins if
// the first may not, whose clock was read later.
func TestSpendBehindOneThatCannotWin(t *testing.T) {
	t.Parallel()
	st := openURL(t, newSchema(t, testServer(t)))
	of := storeMany(t, st, 1)[0]
	late, inTime := &spending{Spend: spendFor(of, hashOf(uuid.New()))}, &spending{Spend: spendFor(of, hashOf(uuid.New()))}
	late.Now = benchStart.AddDate(1, 0, 0)
	errs := st.db.(*postgresDatabase).spendAll([]*spending{late, inTime})
	if errs[0] != nil || errs[1] != nil || late.won || !inTime.won {
		t.Errorf("too late: %v, %v; in time: %v, %v", late.won, errs[0], inTime.won, errs[1])
	}
}

// TestSpendsLogNoRows: what makes a try of a batch fail is told to the server's log without
// the rows that it is about.
func TestSpendsLogNoRows(t *testing.T) {
	t.Parallel()
	st := openURL(t, newSchema(t, testServer(t)))
	of := storeMany(t, st, 1)[0]
	if won, err := st.Spend(t.Context(), spendFor(of, hashOf(uuid.New()))); err != nil || !won {
		t.Fatal(won, err)
	}
	again := spendFor(of, hashOf(uuid.New()))
	_, err := together(st.db.(*postgresDatabase).writes, false, sparedSpend, []any{
		ids{again.Ticket}, ids{again.Blob}, hashes{again.Hash[:]}, hashes{again.Claim[:]}, places{micros(again.Now)},
		ids{again.Blob}, places{1}, places{micros(again.Now)},
	}, (*row).int)
	if code(err) != divisionByZero {
		t.Errorf("%v, want a division by zero", err)
	}
}

// TestSpendsFindTicketsById: also where all blobs have one ticket, and PostgreSQL may think
// that the index of a blob's tickets does as well.
func TestSpendsFindTicketsById(t *testing.T) {
	t.Parallel()
	table := newLoaded(t)
	table.load(t, 100_000)
	c := sessionAt(t, table.url)
	execute(t, c, avoidScans)
	execute(t, c, "SET plan_cache_mode = force_generic_plan")
	for name, statement := range map[string]string{"sparedSpend": sparedSpend, "spendTickets": spendTickets, "reopenTickets": reopenTickets} {
		p, err := c.Prepare(t.Context(), name, statement)
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := c.Query(t.Context(), fmt.Sprintf(`EXPLAIN EXECUTE "%s"(%s)`, name, strings.Join(slices.Repeat([]string{"NULL"}, len(p.ParamOIDs)), ",")), pgx.QueryExecModeSimpleProtocol)
		steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if plan := strings.Join(steps, "\n"); err != nil || !strings.Contains(plan, "tickets_pkey") || strings.Contains(plan, "tickets_blob") {
			t.Errorf("%s: %v\n%s", name, err, plan)
		}
	}
}
