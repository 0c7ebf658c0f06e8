//go:build unix

package sqlstore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// crashEnv names the database for the child of TestKill, which is this binary too.
const crashEnv = "MAYFLY_SQLSTORE_TEST_CRASH"

// TestKill kills a process in the middle of its work (SIGKILL: nothing is closed,
// nothing is flushed) and looks for all that it had been told was done.
func TestKill(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(crashEnv); path != "" {
		spendUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "mayfly.db")
	const lives, each = 3, 40
	for range lives {
		var told []string
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), crashEnv+"="+path)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); len(told) < each && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "opened "); ok {
				told = append(told, id)
			}
		}
		cmd.Process.Kill()
		cmd.Wait() // says that it was killed
		if len(told) < each {
			t.Fatalf("the child ended by itself: %s", errs.String())
		}
		st := openAt(t, path)
		for _, id := range told {
			checkOpened(t, st, uuid.MustParse(id))
		}
	}
}

// checkOpened: the ticket is opened, once and for all.
func checkOpened(t *testing.T, st *Store, id uuid.UUID) {
	t.Helper()
	ticket, b, err := st.FindTicket(t.Context(), id, hashOf(id))
	if err != nil || ticket.State != tickets.TicketOpened || b.State != tickets.BlobStored {
		t.Fatalf("after the crash: ticket %q, blob %q, %v", ticket.State, b.State, err)
	}
	won, err := st.Spend(t.Context(), tickets.Spend{Ticket: id, Blob: b.ID, Hash: hashOf(id), Claim: hashOf(b.ID), Now: benchStart})
	if won || err != nil {
		t.Fatalf("opened again after the crash: %v, %v", won, err)
	}
}

// spendUntilKilled uploads and opens, by some callers at once, and says what it has
// been told was done.
func spendUntilKilled(t *testing.T, path string) {
	st := openAt(t, path)
	parallel(8, func() {
		for t.Context().Err() == nil {
			b, ts := benchBlob()
			key := benchKey(b.ID)
			ts[0].Hash = hashOf(ts[0].ID)
			b.State, b.Key, b.StoredAt, b.ExpiresAt, b.PurgeAt = tickets.BlobStored, key, benchStart, b.UploadUntil, b.UploadUntil
			attempt := []tickets.Attempt{{ID: b.ID, Key: key, Due: b.UploadUntil}}
			if err := errors.Join(st.Reserve(t.Context(), attempt), st.Create(t.Context(), b, ts)); err != nil {
				t.Error(err)
				return
			}
			won, err := st.Spend(t.Context(), tickets.Spend{Ticket: ts[0].ID, Blob: b.ID, Hash: ts[0].Hash, Claim: ts[0].Hash, Now: benchStart})
			if err != nil || !won {
				t.Error(won, err)
				return
			}
			fmt.Printf("opened %s\n", ts[0].ID)
		}
	})
}

// hashOf is a hash that the parent of a child can know too.
func hashOf(id uuid.UUID) (h tickets.Hash) {
	copy(h[:], id[:])
	return h
}
