package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/client"
	"mayfly/tickets"
)

// serverFlags say which server a client command talks to, and as whom.
type serverFlags struct {
	Server   string `env:"MAYFLY_SERVER" default:"http://127.0.0.1:8484" placeholder:"URL" help:"The server (${default})."`
	Key      string `env:"MAYFLY_KEY" placeholder:"mfk_…" help:"API key, role backend; for a server on this machine taken from mayfly-data/backend.key if not set."`
	Insecure bool   `help:"Talk plain http beyond this machine, where everybody on the way can read the tokens."`
}

// connect makes the client, or says what is wrong with the flags.
func (f serverFlags) connect() (*client.Client, error) {
	c, err := connect(f.Server, f.Insecure)
	if err != nil {
		return nil, err
	}
	if c.Key, err = f.key(keyFileName, "Start mayfly serve in this folder"); err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// opsFlags are serverFlags of what an operator does.
type opsFlags struct {
	Server   string `env:"MAYFLY_SERVER" default:"http://127.0.0.1:8484" placeholder:"URL" help:"The server (${default})."`
	Key      string `env:"MAYFLY_KEY" placeholder:"mfk_…" help:"API key, role ops; for a server on this machine taken from mayfly-data/ops.key if not set."`
	Insecure bool   `help:"Talk plain http beyond this machine, where everybody on the way can read the tokens."`
}

// opsKeyFile stands where keyFileName does. An operator puts it there.
const opsKeyFile = "ops.key"

// connect makes the client, or says what is wrong with the flags.
func (f opsFlags) connect() (*client.Client, error) {
	c, err := connect(f.Server, f.Insecure)
	if err != nil {
		return nil, err
	}
	c.Key, err = serverFlags(f).key(opsKeyFile, "Make one: (umask 077; mayfly key create --role ops --tenant '*' > mayfly-data/ops.key)")
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// moderatorFlags are serverFlags of what a moderator does.
type moderatorFlags struct {
	Server   string `env:"MAYFLY_SERVER" default:"http://127.0.0.1:8484" placeholder:"URL" help:"The server (${default})."`
	Key      string `env:"MAYFLY_KEY" placeholder:"mfk_…" help:"API key, role moderator, of your own; for a server on this machine taken from mayfly-data/moderator.key if not set."`
	Insecure bool   `help:"Talk plain http beyond this machine, where everybody on the way can read the tokens."`
}

// moderatorKeyFile stands where keyFileName does. A moderator puts it there.
const moderatorKeyFile = "moderator.key"

// connect makes the client, or says what is wrong with the flags.
func (f moderatorFlags) connect(t terminal) (*client.Client, error) {
	return f.connectWith(t, moderatorKeyFile)
}

func (f moderatorFlags) connectWith(t terminal, file string) (*client.Client, error) {
	c, err := connect(f.Server, f.Insecure)
	if err != nil {
		return nil, err
	}
	c.Key, err = serverFlags(f).key(file, "Make one: (umask 077; mayfly key create --role moderator --tenant default > mayfly-data/"+moderatorKeyFile+")")
	if err != nil {
		return nil, usageError{err}
	}
	c.Retrying = progress{}.retrying(t)
	return c, nil
}

func connect(server string, insecure bool) (*client.Client, error) {
	c := &client.Client{Server: server, Insecure: insecure}
	if err := c.Check(); err != nil {
		if !insecure && (&client.Client{Server: server, Insecure: true}).Check() == nil {
			err = fmt.Errorf("%w. Use its https address, or --insecure if the network is yours", err)
		}
		return nil, usageError{err}
	}
	return c, nil
}

// key is the API key. The key file of the embedded default is for a server on
// this machine only: another one must not be told this one's key.
// If there is none in the file of that name, make says how to get one.
func (f serverFlags) key(file, make string) (tickets.Token, error) {
	if f.Key != "" {
		key, err := tickets.ParseToken(tickets.KindKey, strings.TrimSpace(f.Key))
		if err != nil {
			return tickets.Token{}, fmt.Errorf("--key (MAYFLY_KEY): %w", err)
		}
		return key, nil
	}
	path := filepath.Join("mayfly-data", file)
	if u, err := url.Parse(f.Server); err != nil || !onLoopback(net.JoinHostPort(u.Hostname(), "0")) {
		return tickets.Token{}, fmt.Errorf("%s needs an API key: give --key or MAYFLY_KEY, or MAYFLY_KEY_FILE with the file that holds it", f.Server)
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return tickets.Token{}, fmt.Errorf("no API key: there is no %s here. %s, or give --key, MAYFLY_KEY or MAYFLY_KEY_FILE", path, make)
	}
	if err != nil {
		return tickets.Token{}, err
	}
	key, err := tickets.ParseToken(tickets.KindKey, strings.TrimSpace(string(content)))
	if err != nil {
		return tickets.Token{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
