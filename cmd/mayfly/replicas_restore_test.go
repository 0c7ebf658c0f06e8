package main

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// TestRestoreIsCutOff kills migrate --restored in the middle. No server opens the
// database until it was run to its end; then what the backup had as ready is void (P2).
func TestRestoreIsCutOff(t *testing.T) {
	t.Parallel()
	s := sharedSite(t)
	before := s.start(t)
	j := &job{t: t, s: before}
	spent, ready := j.sendBytes("spent"), j.sendBytes("ready")
	claim := http.Header{"Claim-Key": {claimKey()}}
	j.call("POST", "/v1/download", spent.Tickets[0].Token, "", "", claim).want(http.StatusOK)
	before.stop(t)

	unlock := lock(t, s.database, "SELECT 1 FROM blobs FOR UPDATE")
	restore := s.command("migrate", "--restored", "--database", s.database)
	if err := restore.Start(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, s.database, `SELECT COUNT(*) = 1 FROM restores WHERE finished_at IS NULL`)
	if err := restore.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	restore.Wait()
	unlock()

	for _, args := range [][]string{
		{"purge", "--database", s.database, "--blobs", s.blobs}, // first: it ends in any case
		{"serve", "--listen", "127.0.0.1:0", "--admin", "off", "--database", s.database, "--blobs", s.blobs},
	} {
		out, err := s.command(args...).CombinedOutput()
		if !strings.Contains(string(out), "run mayfly migrate --restored again, to its end") || exitCode(err) != exitFailed {
			t.Fatalf("%s of a database that is void in part: %v, %s", args[0], err, out)
		}
	}
	out, err := s.command("migrate", "--restored", "--database", s.database).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "The tickets of 2 blobs are void.") {
		t.Fatalf("%v, %s", err, out)
	}
	j.s = s.start(t)
	j.call("POST", "/v1/download", ready.Tickets[0].Token, "", "", nil).want(http.StatusGone)
	// What was opened before the backup stays with who opened it.
	j.call("POST", "/v1/download", spent.Tickets[0].Token, "", "", claim).want(http.StatusOK)
	j.s.stop(t)
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return exitDone
}
