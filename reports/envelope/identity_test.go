package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// testFactor is scrypt's work factor in tests that are not about it.
const testFactor = 4

const passphrase = secret + " correct horse battery"

func TestLockedIdentity(t *testing.T) {
	t.Parallel()
	for _, hybrid := range []bool{false, true} {
		t.Run(fmt.Sprintf("hybrid %v", hybrid), func(t *testing.T) {
			t.Parallel()
			ids, to := moderators(t, 1, hybrid)
			locked, err := lock(ids[0], passphrase, testFactor)
			if err != nil {
				t.Fatal(err)
			}
			armored := seal(t, contents(), to...)
			file, err := dearmor(locked)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{locked, " \n" + locked, string(file)} {
				got, recipients, err := UnlockIdentity(text, passphrase)
				if err != nil || len(got) != 1 || len(recipients) != 1 || recipients[0] != to[0] {
					t.Fatalf("%v, %v, %v", got, recipients, err)
				}
				if c, err := Open(armored, got...); err != nil || !equal(c, contents()) {
					t.Errorf("the unlocked identity does not open: %v", err)
				}
				noSecret(t, fmt.Sprintf("%v %+v %#v %s %x", got, got, got, got, got), "")
			}
			// What age -d -i FILE does with it.
			with, err := age.NewScryptIdentity(passphrase)
			if err != nil {
				t.Fatal(err)
			}
			r, err := age.Decrypt(armor.NewReader(strings.NewReader(locked)), with)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := age.ParseIdentities(r)
			if err != nil || len(plain) != 1 {
				t.Fatalf("%d, %v", len(plain), err)
			}
			if r, err = age.Decrypt(armor.NewReader(strings.NewReader(armored)), plain...); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWorkFactor is slow because it shall be: it locks as LockIdentity does.
func TestWorkFactor(t *testing.T) {
	t.Parallel()
	ids, _ := moderators(t, 1, false)
	locked, err := LockIdentity(ids[0], passphrase)
	if err != nil {
		t.Fatal(err)
	}
	file, err := dearmor(locked)
	if err != nil {
		t.Fatal(err)
	}
	stanzas, _, err := split(file)
	if err != nil || len(stanzas) != 1 || stanzas[0].Args[1] != "18" {
		t.Errorf("%v, %v", stanzas, err)
	}
	// One that would take hours and terabytes is refused before it is tried.
	text := strings.Replace(string(file), " 18\n", " 23\n", 1)
	if _, _, err := UnlockIdentity(text, passphrase); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "above 22") {
		t.Error(err)
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	ids, _ := moderators(t, 1, false)
	for p, says := range map[string]string{"": "empty", "hush123": "fewer than 8 characters", "äöüäöüä": "fewer than 8 characters"} {
		if got, err := LockIdentity(ids[0], p); !errors.Is(err, ErrPassphrase) || got != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", p, err)
		} else {
			noSecret(t, err.Error(), "")
		}
	}
	if _, err := lock(ids[0], "12345678", testFactor); err != nil {
		t.Error(err)
	}
	if _, err := LockIdentity(Identity{}, passphrase); !errors.Is(err, ErrIdentity) {
		t.Error(err)
	}
	locked, err := lock(ids[0], passphrase, testFactor)
	if err != nil {
		t.Fatal(err)
	}
	for p, says := range map[string]string{"": "none was given", passphrase + "!": "it is wrong"} {
		got, _, err := UnlockIdentity(locked, p)
		if !errors.Is(err, ErrPassphrase) || got != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", p, err)
			continue
		}
		noSecret(t, err.Error(), locked)
	}
}

func TestPlainIdentities(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 2, false)
	pq, _ := moderators(t, 1, true)
	text := "# created: today\r\n" + ids[0].Reveal() + "\r\n\n" + pq[0].Reveal() + "\n" + ids[1].Reveal()
	got, recipients, err := UnlockIdentity(text, "")
	if err != nil || len(got) != 3 || recipients[0] != to[0] || recipients[1] != pq[0].Recipient() || recipients[2] != to[1] {
		t.Fatalf("%v, %v, %v", got, recipients, err)
	}
	// Who gives a passphrase believes that the file is locked.
	if got, _, err := UnlockIdentity(text, passphrase); !errors.Is(err, ErrPassphrase) || got != nil || !strings.Contains(err.Error(), "not locked") {
		t.Error(err)
	}
}

func TestUnlockRefuses(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 1, false)
	good := ids[0].Reveal()
	locked, err := lock(ids[0], passphrase, testFactor)
	if err != nil {
		t.Fatal(err)
	}
	inside := func(text string) string {
		s, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		s.SetWorkFactor(testFactor)
		return enarmor(encrypt(t, text, s))
	}
	file, err := dearmor(locked)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":             {"", "no key"},
		"comments":          {"# " + secret, "no key"},
		"text":              {secret, "line 1: "},
		"recipient":         {to[0].String(), "public half"},
		"plugin":            {"AGE-PLUGIN-X-1" + secret, "plugins"},
		"mistyped":          {"\n" + good[:len(good)-1], "line 2: not a moderator's identity file: the secret key is mistyped"},
		"mistyped hybrid":   {"AGE-SECRET-KEY-PQ-1" + secret, "mistyped"},
		"SSH":               {"-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret, "neither"},
		"many":              {strings.Repeat(good+"\n", maxIdentities+1), "line 65: "},
		"too large":         {strings.Repeat("\n", maxIdentityFile+1), "bytes"},
		"damaged armor":     {locked[:len(locked)-10], "armor"},
		"damaged header":    {enarmor(file[:30]), "header"},
		"cut off":           {enarmor(file[:len(file)-1]), "cut off"},
		"to recipients":     {enarmor(encrypt(t, good, key(t, to[0]))), "not with a passphrase"},
		"envelope":          {seal(t, contents(), to...), "not with a passphrase"},
		"nothing inside":    {inside(""), "no key"},
		"text inside":       {inside("#\n" + secret), "line 2: "},
		"locked twice":      {inside(locked), "line 1: "},
		"no work factor":    {enarmor(encrypt(t, good, stanza(typeScrypt, secret, secret))), "work factor"},
		"one argument":      {enarmor(encrypt(t, good, stanza(typeScrypt, secret))), "not with a passphrase"},
		"factor below zero": {enarmor(encrypt(t, good, stanza(typeScrypt, "AAAAAAAAAAAAAAAAAAAAAA", "-1"))), "header is damaged"},
	} {
		pass := passphrase
		if !strings.HasPrefix(c.text, armor.Header) {
			pass = ""
		}
		got, recipients, err := UnlockIdentity(c.text, pass)
		if !errors.Is(err, ErrIdentity) || got != nil || recipients != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
			continue
		}
		noSecret(t, err.Error(), c.text)
	}
}

func TestIdentityIsRedacted(t *testing.T) {
	t.Parallel()
	ids, to := moderators(t, 1, false)
	id := ids[0]
	asJSON, err := json.Marshal(map[string]any{"i": id, "p": &id})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "i", id, "in", ids)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "i", id, "in", ids)
	for _, text := range []string{fmt.Sprint(id, &id), fmt.Sprintf("%v %+v %#v %s %q %x %d", id, id, id, id, id, id, id), string(asJSON), log.String()} {
		if strings.Contains(strings.ToUpper(text), id.Reveal()[20:40]) || !strings.Contains(text, to[0].ID()) {
			t.Errorf("not redacted: %s", text)
		}
	}
}
