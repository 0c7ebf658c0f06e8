package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"mayfly/reports/envelope"
)

// passphraseVar is a variable and no flag: the arguments of a process are there for all to see.
const passphraseVar = "MAYFLY_PASSPHRASE"

// passphrase is that of the environment, or asks the terminal for it, without an echo.
func passphrase(ctx context.Context, t terminal, prompt string) (string, error) {
	if text := os.Getenv(passphraseVar); text != "" {
		return text, nil
	}
	in, ok := t.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usageError{fmt.Errorf("no passphrase, and no terminal to ask for it: give %s, or %[1]s_FILE with the file that holds it", passphraseVar)}
	}
	fmt.Fprint(t.Err, prompt)
	defer fmt.Fprintln(t.Err)
	return hiddenLine(ctx, in)
}

// hiddenLine reads a line from a terminal that does not show it. An interrupt leaves the
// terminal as it was.
func hiddenLine(ctx context.Context, in *os.File) (string, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", err
	}
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := term.ReadPassword(int(in.Fd()))
		done <- read{text, err}
	}()
	select {
	case r := <-done:
		return string(r.text), r.err
	case <-ctx.Done():
		_ = term.Restore(int(in.Fd()), before)
		return "", context.Cause(ctx)
	}
}

// newPassphrase asks for it twice.
func newPassphrase(ctx context.Context, t terminal) (string, error) {
	first, err := passphrase(ctx, t, "New passphrase, 8 characters or more: ")
	if err != nil || os.Getenv(passphraseVar) != "" {
		return first, err
	}
	second, err := passphrase(ctx, t, "The same once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", fmt.Errorf("%w: the two are not the same; nothing was made", envelope.ErrPassphrase)
	}
	return first, nil
}

// unlock opens an identity file, with a passphrase if it takes one.
func unlock(ctx context.Context, t terminal, path string) (ids identities, err error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	ids, _, err = envelope.UnlockIdentity(text, os.Getenv(passphraseVar))
	if errors.Is(err, envelope.ErrPassphrase) && os.Getenv(passphraseVar) == "" {
		var with string
		if with, err = passphrase(ctx, t, "Passphrase of "+path+": "); err != nil {
			return nil, err
		}
		ids, _, err = envelope.UnlockIdentity(text, with)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ids, nil
}
