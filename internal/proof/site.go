package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"mayfly/internal/client"
	"mayfly/tickets"
)

// minioVariable says where MinIO is, as http://ACCESS:SECRET@HOST:PORT:
// internal/testenv starts one and sets it.
const minioVariable = "MAYFLY_TEST_MINIO"

// site is a Mayfly of several replicas.
type site struct {
	dir      string
	database database
	ours     bool // the database, to be stopped
	programs programs
	blobs    string
	env      []string
	replicas *replicas
	key      tickets.Token
}

// siteConfig says what to start.
type siteConfig struct {
	replicas int
	// database is a name or a URL; running is one that somebody else stops.
	database string
	running  database
	blobs    string // a URL; a bucket of MinIO's if it is empty
	plant    string // a bug; Mayfly as it is if it is empty
	programs programs
}

// startSite starts what Mayfly needs and its replicas. What they write beside the stores
// goes to dir.
func startSite(ctx context.Context, dir string, cfg siteConfig) (_ *site, err error) {
	s := &site{dir: dir, database: cfg.running, programs: cfg.programs}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.blobs, s.env, err = blobStore(cfg.blobs, os.Getenv); err != nil {
		return nil, err
	}
	if s.database == nil {
		if s.database, err = startDatabase(ctx, cfg.database, dir); err != nil {
			return nil, err
		}
		s.ours = true
	}
	s.env = append(s.env, "MAYFLY_DATABASE="+s.database.url(), "MAYFLY_BLOBS="+s.blobs)
	if err := s.createKey(ctx); err != nil {
		return nil, err
	}
	command := s.honest
	if cfg.plant != "" {
		command = func(address string) *exec.Cmd {
			return s.command(s.programs.planted, "--plant", cfg.plant, "--listen", address)
		}
	}
	s.replicas, err = startReplicas(ctx, dir, cfg.replicas, command)
	return s, err
}

// honest is the real thing.
func (s *site) honest(address string) *exec.Cmd {
	// The log of each request is left out: it would be most of the work.
	return s.command(s.programs.mayfly, "serve", "--listen", address, "--admin", "off",
		"--rate-per-address", "0", "--rate-per-token", "0", "--log-level", "warn")
}

func (s *site) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	// Nothing that configures a Mayfly of the caller's own.
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "MAYFLY_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

// stop ends what was started. That something had ended by itself is an error.
func (s *site) stop() error {
	err := s.replicas.stop()
	if s.ours {
		err = errors.Join(err, s.database.stop())
	}
	return err
}

// programs are the binaries: Mayfly, and the one with the planted bugs.
type programs struct{ mayfly, planted string }

// build builds both from the checkout, into dir.
func build(ctx context.Context, dir string) (programs, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return programs{}, fmt.Errorf("find the checkout: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/mayfly", "./internal/proof/planted")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return programs{}, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return programs{filepath.Join(dir, "mayfly"), filepath.Join(dir, "planted")}, nil
}

// blobStore is the URL of the blob store, and what Mayfly needs in its environment. A
// bucket of MinIO's gets a prefix that nobody else has.
func blobStore(given string, getenv func(string) string) (blobs string, env []string, err error) {
	if given != "" {
		for _, name := range []string{"MAYFLY_S3_ACCESS_KEY", "MAYFLY_S3_SECRET_KEY"} {
			if v := getenv(name); v != "" {
				env = append(env, name+"="+v)
			}
		}
		return given, env, nil
	}
	u, err := url.Parse(getenv(minioVariable))
	// The value has a secret in it, and url.Parse would show it.
	if err != nil || u.Scheme != "http" || u.User.Username() == "" || u.Host == "" {
		return "", nil, errors.New("there is no MinIO: begin with go run ./internal/testenv, or give --blobs")
	}
	secret, _ := u.User.Password()
	return fmt.Sprintf("minio://%s/mayfly-proof/%s?insecure=true&create=true", u.Host, strings.ToLower(rand.Text()[:12])),
		[]string{"MAYFLY_S3_ACCESS_KEY=" + u.User.Username(), "MAYFLY_S3_SECRET_KEY=" + secret}, nil
}

// createKey makes an API key, and the schema.
func (s *site) createKey(ctx context.Context) error {
	cmd := s.command(s.programs.mayfly, "key", "create", "--role", "backend", "--tenant", "proof")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mayfly key create: %w\n%s", err, stderr.Bytes())
	}
	var err error
	s.key, err = tickets.ParseToken(tickets.KindKey, strings.TrimSpace(stdout.String()))
	return err
}

// issue uploads blobs and gets the tickets' tokens. Tickets that are asked for at the same
// time are of different blobs, as far as there are any.
func (s *site) issue(ctx context.Context, seed uint64, n int) (tokens []string, blob func(ticket int) []byte, err error) {
	blobs := max(1, (n+tickets.MaxRecipients-1)/tickets.MaxRecipients)
	blobs = min(n, max(blobs, 4)) // a blob's row is locked by each spend
	content := make([][]byte, blobs)
	tokens = make([]string, n)
	api := &client.Client{Server: s.replicas.process(0).at, Key: s.key}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range blobs {
		content[i] = contentOf(seed, i)
		group.Go(func() error { return issueBlob(ctx, api, content[i], tokens, i, blobs) })
	}
	return tokens, func(ticket int) []byte { return content[ticket%blobs] }, group.Wait()
}

// issueBlob uploads a blob for the tickets first, first+step, …
func issueBlob(ctx context.Context, api *client.Client, content []byte, tokens []string, first, step int) error {
	var recipients []string
	for t := first; t < len(tokens); t += step {
		recipients = append(recipients, strconv.Itoa(t))
	}
	announced, err := api.Announce(ctx, client.NewBlob{Size: int64(len(content)), Recipients: recipients})
	if err != nil {
		return fmt.Errorf("announce a blob: %w", err)
	}
	_, err = api.Upload(ctx, client.Upload{
		Grant: announced.Grant, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	})
	if err != nil {
		return fmt.Errorf("upload a blob: %w", err)
	}
	for i, t := range announced.Tickets {
		tokens[first+i*step] = t.Token.Reveal()
	}
	return nil
}

// contentOf is 64 bytes: it is the spends that are looked at.
func contentOf(seed uint64, blob int) []byte {
	var of [16]byte
	binary.BigEndian.PutUint64(of[:], seed)
	binary.BigEndian.PutUint64(of[8:], uint64(blob))
	sum := sha512.Sum512(of[:])
	return sum[:]
}

// newHTTPClient keeps a connection per caller and replica.
func newHTTPClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{

		MaxIdleConnsPerHost: 2 * connections,
		DisableCompression:  true,
	}}
}
