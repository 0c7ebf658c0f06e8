package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/reports/envelope"
)

// keygen runs the command with a passphrase of the environment.
func keygen(t *testing.T, c moderateKeygenCmd) (printed, told string, err error) {
	t.Helper()
	var out, stderr bytes.Buffer
	err = c.Run(t.Context(), terminal{In: strings.NewReader(""), Out: &out, Err: &stderr})
	if all := out.String() + stderr.String(); strings.Contains(all, "AGE-SECRET") || strings.Contains(all, "random words") {
		t.Errorf("shows a secret: %s", all)
	}
	return strings.TrimSpace(out.String()), stderr.String(), err
}

func TestKeygen(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(passphraseVar, "four random words")
	if _, _, err := keygen(t, moderateKeygenCmd{}); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "with -o FILE") {
		t.Errorf("without a folder: %v", err)
	}
	// With -o the identity alone; nobody is made a moderator by it.
	printed, _, err := keygen(t, moderateKeygenCmd{Output: "mine", PostQuantum: true})
	if err != nil || !strings.HasPrefix(printed, "age1pq1") {
		t.Fatalf("%.20s, %v", printed, err)
	}
	if err := os.Mkdir("mayfly-data", 0o700); err != nil {
		t.Fatal(err)
	}
	// What an operator wrote is left as it is, and ends without a line's end.
	list := filepath.Join("mayfly-data", "moderators.txt")
	other, err := envelope.GenerateIdentity(false)
	if err != nil {
		t.Fatal(err)
	}
	before := "# alice\n" + other.Recipient().String()
	if err := os.WriteFile(list, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	printed, told, err := keygen(t, moderateKeygenCmd{})
	if err != nil || !strings.Contains(told, "added to mayfly-data/moderators.txt") {
		t.Fatalf("%v: %s", err, told)
	}
	if content, err := os.ReadFile(list); err != nil || string(content) != before+"\n"+printed+"\n" {
		t.Errorf("%q, %v", content, err)
	}
	path := "moderator.identity"
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	ids, err := unlock(t.Context(), terminal{Err: io.Discard}, path)
	if err != nil || len(ids) != 1 || ids[0].(envelope.Identity).Recipient().String() != printed {
		t.Errorf("%v, %v", ids, err)
	}
	// Neither is replaced.
	secret, _ := os.ReadFile(path)
	if _, _, err := keygen(t, moderateKeygenCmd{}); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "is not replaced") {
		t.Errorf("got %v", err)
	}
	// A recipient that the server would not take, and with it no identity.
	for name, c := range map[string]struct {
		cmd  moderateKeygenCmd
		want string
	}{
		"of another kind": {moderateKeygenCmd{Output: "q", Recipients: list, PostQuantum: true}, "cannot be mixed"},
		"in a bad list":   {moderateKeygenCmd{Output: "q", Recipients: path}, "line 1: unusable recipient"},
		"in no folder":    {moderateKeygenCmd{Output: "no/q"}, "no is no folder"},
		"on a folder":     {moderateKeygenCmd{Output: "q", Recipients: "mayfly-data"}, "is a directory"},
	} {
		if printed, _, err := keygen(t, c.cmd); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was made") || printed != "" {
			t.Errorf("%s: printed %q: %v", name, printed, err)
		}
		if _, err := os.Lstat("q"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: an identity is left: %v", name, err)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, secret) {
		t.Errorf("the identity was changed, %v", err)
	}
	// The list cannot be written: the identity stays, and its recipient is told.
	printed, told, err = keygen(t, moderateKeygenCmd{Output: "kept", Recipients: "no/list"})
	if err == nil || printed != "" || !strings.Contains(err.Error(), "by hand: age1") || !strings.Contains(told, "kept, locked") {
		t.Errorf("printed %q: %v, %s", printed, err, told)
	}
	t.Setenv(passphraseVar, "short")
	if _, _, err := keygen(t, moderateKeygenCmd{Output: "q"}); !errors.Is(err, envelope.ErrPassphrase) {
		t.Errorf("got %v", err)
	}
	t.Setenv(passphraseVar, "")
	if _, _, err := keygen(t, moderateKeygenCmd{Output: "q"}); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "MAYFLY_PASSPHRASE_FILE") {
		t.Errorf("got %v", err)
	}
}
