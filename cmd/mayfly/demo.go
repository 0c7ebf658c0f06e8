package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"mayfly/internal/api"
	"mayfly/internal/client"
	"mayfly/internal/keys"
)

type demoCmd struct{}

// Run shows the life of a picture on the real parts: the server on loopback, its
// database and its folder in a temporary place, and the real client. Only the
// clock is made up.
func (demoCmd) Run(ctx context.Context, t terminal) (err error) {
	d, err := newDemo(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for i, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"Alice sends a picture to Bob and Carol", d.send},
		{"Bob opens it", d.open},
		{"Bob, or whoever has his link, tries again", d.openAgain},
		{"Carol's connection breaks while she opens it", d.openBroken},
		{"Dave never opens his, and 14 days go by", d.expire},
	} {
		fmt.Fprintf(t.Out, "\n%d. %s\n", i+1, step.title)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	_, err = fmt.Fprintf(t.Out, "\nThat was all of it, in %s. Now for real: mayfly serve\n", time.Since(d.began).Round(10*time.Millisecond))
	return err
}

// demo is a Mayfly in a temporary folder, and what the steps hand on.
type demo struct {
	t       terminal
	began   time.Time
	dir     string
	picture []byte
	service *service
	server  *http.Server
	address string
	client  func() *client.Client
	// skipped is how far the made-up clock runs before the real one.
	skipped atomic.Int64
	links   map[string]string // by recipient
}

func newDemo(ctx context.Context, t terminal) (_ *demo, err error) {
	d := &demo{t: t, began: time.Now(), links: map[string]string{}}
	if d.dir, err = os.MkdirTemp("", "mayfly-demo-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.picture, err = drawPicture(); err != nil {
		return nil, err
	}
	stores := storeFlags{
		databaseFlag: databaseFlag{Database: "sqlite://" + filepath.Join(d.dir, "mayfly.db")},
		Blobs:        "file://" + filepath.Join(d.dir, "blobs"),
	}
	if d.service, err = openService(ctx, stores, slog.New(slog.DiscardHandler), d.now); err != nil {
		return nil, err
	}
	key, token, err := keys.New(keys.RoleBackend, "demo", d.now())
	if err != nil {
		return nil, err
	}
	if err := d.service.db.CreateKey(ctx, key); err != nil {
		return nil, err
	}
	if err := d.serve(ctx); err != nil {
		return nil, err
	}
	d.client = func() *client.Client { return &client.Client{Server: d.address, Key: token} }
	_, err = fmt.Fprintf(t.Out, "A Mayfly with SQLite and a folder, in %s, at %s\n", d.dir, d.address)
	return d, err
}

func (d *demo) now() time.Time { return time.Now().Add(time.Duration(d.skipped.Load())) }

func (d *demo) serve(ctx context.Context) error {
	d.service.api.Limits = api.Limits{}
	handler, err := d.service.api.Handler()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.address = "http://" + l.Addr().String()
	d.server = d.service.api.HTTPServer(handler)
	go d.server.Serve(l) // until close
	return nil
}

func (d *demo) close() error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	if d.service != nil {
		errs = append(errs, d.service.close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) tell(format string, args ...any) { fmt.Fprintf(d.t.Out, "   "+format+"\n", args...) }

// upload runs mayfly send and keeps the links.
func (d *demo) upload(ctx context.Context, name string, to ...string) error {
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, d.picture, 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := &sendCmd{serverFlags: serverFlags{Server: d.address}, File: path, To: to}
	if err := cmd.send(ctx, terminal{In: d.t.In, Out: &out, Err: io.Discard}, d.client()); err != nil {
		return err
	}
	for line := range strings.Lines(out.String()) {
		recipient, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		d.links[recipient] = text
	}
	return nil
}

func (d *demo) send(ctx context.Context) error {
	if err := d.upload(ctx, "picture.png", "bob", "carol"); err != nil {
		return err
	}
	d.tell("%s of picture, encrypted on her side. Two links, one for each:", bytesText(int64(len(d.picture))))
	for _, name := range []string{"bob", "carol"} {
		l, err := parseLink(d.links[name])
		if err != nil {
			return err
		}
		d.tell("%-6s %s/#ticket=mft_…&key=AGE-SECRET-KEY-1…", name, l.server)
	}
	stored, err := d.stored(ctx)
	if err != nil {
		return err
	}
	if stored != 1 {
		return fmt.Errorf("%d blobs are stored, not 1", stored)
	}
	d.tell("What stands behind the # never reaches the server, which holds one blob that it cannot read.")
	return nil
}

// fetch runs mayfly open and compares what came with what was sent.
func (d *demo) fetch(ctx context.Context, cl *client.Client, name string) error {
	l, err := parseLink(d.links[name])
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, name+".png")
	cmd := &openCmd{Output: path, Force: true}
	if err := cmd.open(ctx, terminal{In: d.t.In, Out: io.Discard, Err: io.Discard}, cl, l); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, d.picture) {
		return errors.New("what came is not what was sent")
	}
	return nil
}

func (d *demo) open(ctx context.Context) error {
	if err := d.fetch(ctx, d.client(), "bob"); err != nil {
		return err
	}
	d.tell("The ticket was spent, durably, before the first byte left. Digest and decryption are right.")
	return nil
}

func (d *demo) openAgain(ctx context.Context) error {
	err := d.fetch(ctx, d.client(), "bob")
	return d.refused(err, "opened")
}

// refused checks that a fetch failed with this problem, and tells it.
func (d *demo) refused(err error, code string) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Code != code {
		return fmt.Errorf("the answer is not a refusal with %s: %w", code, err)
	}
	d.tell("Refused: %d %s. %s Not one byte was sent.", problem.Status, problem.Code, problem.Title)
	return nil
}

func (d *demo) openBroken(ctx context.Context) error {
	cl := d.client()
	after := int64(len(d.picture)) / 3
	cut := &cutting{after: after}
	cl.HTTP = &http.Client{Transport: cut}
	cl.Retrying = nil
	if err := d.fetch(ctx, cl, "carol"); err != nil {
		return err
	}
	if cut.resumed == "" {
		return errors.New("the download was not resumed")
	}
	d.tell("Cut after %s. Her client, and no other, has the claim key: it asked for %q and got the rest.", bytesText(after), cut.resumed)
	return nil
}

func (d *demo) expire(ctx context.Context) error {
	if err := d.upload(ctx, "another.png", "dave"); err != nil {
		return err
	}
	d.skipped.Store(int64(14 * 24 * time.Hour))
	d.tell("From that moment on his link opens nothing, whether a purge has run or not:")
	if err := d.refused(d.fetch(ctx, d.client(), "dave"), "expired"); err != nil {
		return err
	}
	r, err := d.service.purge.Run(ctx)
	if err != nil {
		return err
	}
	left, err := d.stored(ctx)
	if err != nil {
		return err
	}
	if r.Erased != 2 || left != 0 {
		return fmt.Errorf("the purge erased %d and left %d, not 2 and 0", r.Erased, left)
	}
	d.tell("The purge erased both pictures, %s: no blob is left in the folder, only tombstones in the database.", bytesText(r.Bytes))
	return nil
}

// stored counts what is in the blob store.
func (d *demo) stored(ctx context.Context) (n int, err error) {
	for _, err := range d.service.blobs.All(ctx) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// cutting is a network that breaks once, in the middle of a download.
type cutting struct {
	after   int64
	broken  bool
	resumed string // the Range with which the client came back
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.URL.Path != "/v1/download" {
		return answer, err
	}
	if c.broken {
		c.resumed = r.Header.Get("Range")
		return answer, nil
	}
	c.broken = true
	answer.Body = &cutBody{answer.Body, c.after}
	return answer, nil
}

type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("connection reset by the demo")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
