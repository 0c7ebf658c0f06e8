package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"mayfly/reports/envelope"
)

const (
	// dataDir is where the embedded default keeps what it keeps.
	dataDir = "mayfly-data"
	// identityName is of a moderator's identity. Not in dataDir: no server should have it (P6).
	identityName = "moderator.identity"
)

// identities are secret keys, to which reports are sealed.
type identities []age.Identity

type moderateKeygenCmd struct {
	Output      string `short:"o" placeholder:"FILE" help:"Where to: a new file, mode 0600. Default: moderator.identity, if that folder is here."`
	Recipients  string `placeholder:"FILE" help:"Add the recipient to this file, which mayfly serve --moderators reads. Default: without -o mayfly-data/moderators.txt, with -o none."`
	PostQuantum bool   `help:"Make a key that is safe from quantum computers too. All moderators need keys of one kind."`
}

// Help is behind the flags of mayfly moderate keygen --help.
func (*moderateKeygenCmd) Help() string {
	return `Printed is the recipient, the public half (age1…): reporters seal to it. The identity, the secret half, is in the file, locked with a passphrase, which is asked for, or comes from MAYFLY_PASSPHRASE or the file that MAYFLY_PASSPHRASE_FILE names. No server needs it, and none should have it.

Nobody can make either again: without the identity or its passphrase, what was sealed to it cannot be read any more. Who stops moderating is taken out of the recipients, and then nothing more is sealed to them; but keep a retired identity as long as evidence is held that was sealed to it.

The file is one of age: age -d -i FILE takes it too.`
}

// Run makes an identity. What is written first is the secret: a recipient without one
// would make reports that nobody can read.
func (c *moderateKeygenCmd) Run(ctx context.Context, t terminal) error {
	path, recipients, err := c.paths()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return usageError{fmt.Errorf("%s exists, and is not replaced: evidence may be sealed to it. "+
			"For another moderator choose another -o FILE, and --recipients FILE to add the recipient", path)}
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("nothing was made: %s is no folder", filepath.Dir(path))}
	}
	id, err := envelope.GenerateIdentity(c.PostQuantum)
	if err != nil {
		return err
	}
	line, err := addition(recipients, id.Recipient().String())
	if err != nil {
		return fmt.Errorf("nothing was made: %w", err)
	}
	secret, err := newPassphrase(ctx, t)
	if err != nil {
		return err
	}
	locked, err := envelope.LockIdentity(id, secret)
	if err != nil {
		return fmt.Errorf("nothing was made: %w", err)
	}
	if err := writeNew(path, locked); err != nil {
		return fmt.Errorf("nothing was made: %w", err)
	}
	fmt.Fprintf(t.Err, "The identity is in %s, locked. Keep it, and its passphrase: nobody can make them again.\n", path)
	if recipients != "" {
		if err := appendLine(recipients, line); err != nil {
			return fmt.Errorf("%w. The identity is made; add its recipient by hand: %s", err, id.Recipient())
		}
		fmt.Fprintf(t.Err, "The recipient was added to %s: from now on reports are sealed to it too.\n", recipients)
	}
	_, err = fmt.Fprintln(t.Out, id.Recipient())
	return err
}

// paths are of the identity, and of the recipients; that one empty for none.
func (c *moderateKeygenCmd) paths() (identity, recipients string, err error) {
	if c.Output != "" {
		return c.Output, c.Recipients, nil
	}
	if info, err := os.Stat(dataDir); err != nil || !info.IsDir() {
		return "", "", usageError{fmt.Errorf("there is no folder %s here: say where the identity goes, with -o FILE", dataDir)}
	}
	recipients = c.Recipients
	if recipients == "" {
		recipients = filepath.Join(dataDir, moderatorsName)
	}
	return identityName, recipients, nil
}

// addition is what is to be appended to a file of recipients, if the server takes what
// becomes of it.
func addition(path, recipient string) (string, error) {
	if path == "" {
		return "", nil
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	line := recipient + "\n"
	if len(before) > 0 && before[len(before)-1] != '\n' {
		line = "\n" + line
	}
	if _, err := envelope.ParseRecipients(strings.NewReader(string(before) + line)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return line, nil
}

// writeNew writes a secret durably to a file that was not there; after a failure it is not.
func writeNew(path, content string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		syncDir(filepath.Dir(path))
	}
	return err
}

// appendLine appends in one write, so that who reads meanwhile sees all of it or nothing.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	syncDir(filepath.Dir(path))
	return err
}

// maxSmall in bytes, of a file that a person could have written.
const maxSmall = 64 << 10

// readSmall reads a file that should be small; what is behind maxSmall makes it another one.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	return string(text), err
}
