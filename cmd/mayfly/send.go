package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/client"
)

type sendCmd struct {
	serverFlags `embed:""`

	File      string        `arg:"" help:"File to send; - is standard input."`
	To        []string      `sep:"none" placeholder:"NAME" help:"Recipient; may be repeated. Each gets a link of their own."`
	Policy    string        `placeholder:"NAME" help:"Retention policy; if not set the server's default, view-once."`
	ExpiresIn time.Duration `placeholder:"DURATION" help:"Shorten the policy's deadline, e.g. 24h."`
	Name      string        `xor:"name" placeholder:"NAME" help:"What to call the recipient's file; if not set the file's own name."`
	NoName    bool          `xor:"name" help:"Do not put the file's name into the links."`
	JSON      bool          `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly send --help.
func (*sendCmd) Help() string {
	return "The file is encrypted with age under a fresh key as it is read. The key is in the links, behind the #, " +
		"which no program sends to a server: whoever has a link can open it, once. " +
		"Printed are the links, one a line, with the recipient's name and a tab before each if there are names."
}

// Run sends a file.
func (c *sendCmd) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	return c.send(ctx, t, cl)
}

// The API's bounds (openapi.yaml), here to tell a mistake before a byte is read.
const (
	maxRecipients    = 1024
	maxRecipientName = 256 // bytes
)

func (c *sendCmd) check() error {
	if len(c.To) > maxRecipients {
		return fmt.Errorf("--to: %d recipients are more than %d", len(c.To), maxRecipients)
	}
	for _, name := range append([]string{c.Name}, c.To...) {
		if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("%q: a name has no control characters", name)
		}
	}
	for _, name := range c.To {
		if name == "" || len(name) > maxRecipientName {
			return fmt.Errorf("--to: %q has not 1 to %d bytes", name, maxRecipientName)
		}
	}
	if c.ExpiresIn < 0 || c.ExpiresIn%time.Second != 0 {
		return fmt.Errorf("--expires-in: %s is not a positive number of seconds", c.ExpiresIn)
	}
	return nil
}

// sent is the result, as scripts see it.
type sent struct {
	ID        uuid.UUID        `json:"id"`
	Size      int64            `json:"size"`   // of the encrypted bytes
	SHA256    blobstore.Digest `json:"sha256"` // likewise
	ExpiresAt time.Time        `json:"expires_at"`
	Links     []sentLink       `json:"links"`
}

type sentLink struct {
	Recipient string    `json:"recipient"`
	Ticket    uuid.UUID `json:"ticket_id"`
	Link      string    `json:"link"`
}

// send encrypts, announces, uploads and prints. A failure leaves nothing that
// could be opened.
func (c *sendCmd) send(ctx context.Context, t terminal, cl *client.Client) error {
	m, err := c.seal(ctx, t)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer m.close()
	bar := t.progress("sending", m.size)
	defer bar.clear()
	cl.Retrying = bar.retrying(t)

	a, err := cl.Announce(ctx, client.NewBlob{
		Policy: c.Policy, Size: m.size, SHA256: m.sum, Recipients: c.To, ExpiresIn: c.ExpiresIn,
	})
	if err != nil {
		return c.explain(interrupted(ctx, err))
	}
	stored, err := cl.Upload(ctx, client.Upload{
		Grant: a.Grant, Size: m.size, Open: m.open, Progress: bar.at,
		Stored: func(ctx context.Context) (client.Stored, error) { return storedFor(ctx, cl, a.Tickets[0]) },
	})
	bar.clear()
	if err == nil {
		err = c.print(t, m, a, stored)
	}
	if err != nil {
		takeBack(ctx, t, cl, a.ID)
		return c.explain(interrupted(ctx, err))
	}
	return nil
}

func (c *sendCmd) seal(ctx context.Context, t terminal) (*media, error) {
	if c.File == "-" {
		return sealStream(ctx, t.In)
	}
	return sealFile(ctx, c.File)
}

// storedFor asks with a ticket what the server has, as an upload's lost answer
// would have said.
func storedFor(ctx context.Context, cl *client.Client, ticket client.IssuedTicket) (client.Stored, error) {
	seen, err := cl.Ticket(ctx, ticket.Token)
	if err != nil {
		return client.Stored{}, err
	}
	if seen.SHA256 == nil {
		return client.Stored{}, errors.New("the server says that the blob is stored, and that it is not")
	}
	return client.Stored{Size: seen.Size, SHA256: *seen.SHA256, ExpiresAt: seen.ExpiresAt}, nil
}

// takeBack unsends after a failure, also one that is an interrupt.
func takeBack(ctx context.Context, t terminal, cl *client.Client, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := cl.Unsend(ctx, id); err != nil {
		fmt.Fprintf(t.Err, "What the server has of it could not be taken back, and is deleted at its deadline (blob %s): %v\n", id, err)
	}
}

func (c *sendCmd) print(t terminal, m *media, a client.Announced, stored client.Stored) error {
	result := sent{ID: a.ID, Size: stored.Size, SHA256: stored.SHA256, ExpiresAt: stored.ExpiresAt}
	for _, ticket := range a.Tickets {
		l := link{server: c.Server, ticket: ticket.Token, key: m.key, name: c.fileName(m)}
		result.Links = append(result.Links, sentLink{Recipient: ticket.Recipient, Ticket: ticket.ID, Link: l.reveal()})
	}
	if c.JSON {
		return printJSON(t, result)
	}
	for _, l := range result.Links {
		line := l.Link
		if len(c.To) > 0 {
			line = l.Recipient + "\t" + line
		}
		if _, err := fmt.Fprintln(t.Out, line); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.Err, "Sent %s, until %s.\n", bytesText(stored.Size), stored.ExpiresAt.UTC().Format("2 January 2006 15:04 MST"))
	return nil
}

func (c *sendCmd) fileName(m *media) string {
	switch {
	case c.NoName:
		return ""
	case c.Name != "":
		return c.Name
	case m.name == "":
		return ""
	}
	return safeName(m.name)
}

// explain says in words what a person can do.
func (c *sendCmd) explain(err error) error {
	var problem *client.Problem
	var unreachable *client.UnreachableError
	switch {
	case errors.As(err, &unreachable) && onLoopback(unreachable.Host):
		return fmt.Errorf("send: %w. Is mayfly serve running?", err)
	case errors.Is(err, client.ErrLength):
		return fmt.Errorf("%s changed while it was read; nothing is kept. Send it again when nothing writes to it", c.File)
	case errors.As(err, &problem) && (problem.Code == "unknown_key" || problem.Code == "token_required"):
		return fmt.Errorf("%s does not know this API key: it was revoked, or is another server's: %w", c.Server, err)
	}
	return fmt.Errorf("send: %w", err)
}

// interrupted puts it shortly if it is the person at the keyboard who ended it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; nothing is kept: %w", err)
	}
	return err
}
