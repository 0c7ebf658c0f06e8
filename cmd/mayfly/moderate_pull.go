package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/internal/formats"
	"mayfly/reports/envelope"
)

type moderatePullCmd struct {
	moderatorFlags `embed:""`
	ID             string `arg:"" name:"id" help:"The report's id; one that is not decided you have to have claimed."`
	Output         string `short:"o" placeholder:"FILE" help:"Where to: a new file, or a folder. If not set a file here, named as the sender named it."`
	Identity       string `placeholder:"FILE" help:"Your identity file; more than one key may be in it. Default: moderator.identity."`
	JSON           bool   `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly moderate pull --help.
func (*moderatePullCmd) Help() string {
	return `Decrypted on this machine, to a new file of mode 0600, and nowhere else: no purge and no withdrawal reaches it, so delete it when you have seen it. Each pull is in the audit log. The identity's passphrase is asked for, or comes from MAYFLY_PASSPHRASE or the file that MAYFLY_PASSPHRASE_FILE names.

The bytes are those that the sender uploaded, or nothing is written. Whether the key is the sender's too is told as the binding:

  committed           the bytes can be opened to one plaintext only: it is what was sent
  commitment matches  it is the key that the sender committed to with the upload
  unverified          a reporter could have made a key that shows something else: do not decide against a sender on it alone
  mismatch            the sender committed to another key: nothing is written`
}

// Run pulls evidence.
func (c *moderatePullCmd) Run(ctx context.Context, t terminal) error {
	id, err := reportID(c.ID)
	if err != nil {
		return err
	}
	if c.Output == "-" {
		return usageError{errors.New("-o: evidence goes to a file, not to standard output")}
	}
	cl, err := c.connect(t)
	if err != nil {
		return err
	}
	ids, err := c.identities(ctx, t)
	if err != nil {
		return err
	}
	return c.pull(ctx, t, cl, id, ids)
}

func (c *moderatePullCmd) identities(ctx context.Context, t terminal) (identities, error) {
	path := c.Identity
	if path == "" {
		path = identityName
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, usageError{fmt.Errorf("there is no %s here: give --identity with the file that mayfly moderate keygen made", path)}
		}
	}
	return unlock(ctx, t, path)
}

// pulled is the result, as scripts see it.
type pulled struct {
	Path         string           `json:"path"`
	Report       uuid.UUID        `json:"report_id"`
	Blob         uuid.UUID        `json:"blob_id"`
	Size         int64            `json:"size"`   // of the encrypted bytes
	SHA256       blobstore.Digest `json:"sha256"` // likewise
	Format       string           `json:"format"`
	Binding      formats.Binding  `json:"binding"`
	Stamp        string           `json:"stamp"`
	UploadedAt   *time.Time       `json:"uploaded_at,omitempty"`
	Acknowledged bool             `json:"acknowledged"`
}

// pull looks at the sealed key before it opens anything: evidence that cannot be read is
// not downloaded. What is refused is refused before a byte of plaintext is made.
func (c *moderatePullCmd) pull(ctx context.Context, t terminal, cl *client.Client, id uuid.UUID, ids identities) error {
	r, err := cl.Report(ctx, id)
	if err != nil {
		return notModerated(err)
	}
	e, err := cl.PullReport(ctx, id)
	if err != nil {
		return notModerated(err)
	}
	if err := agree(r, e); err != nil {
		return err
	}
	contents, key, err := openSealedKey(e, ids)
	if err != nil {
		return fmt.Errorf("nothing was downloaded: %w", err)
	}
	result := pulled{
		Report: id, Blob: e.Blob, Size: e.Size, SHA256: e.SHA256, Format: key.Format(),
		Binding: formats.Judge(key, e.KeyCommitment), Stamp: "none", UploadedAt: r.UploadedAt,
	}
	if r.Stamp != nil {
		result.Stamp = r.Stamp.Verdict
	}
	tellProvenance(t, result)
	if result.Binding == formats.Mismatch {
		return errors.New("nothing was downloaded: the key is not the one that the sender committed to with the upload, " +
			"so what it shows would not be what the sender sent (mismatch)")
	}
	g, err := c.target(contents.Name, id)
	if err != nil {
		return fmt.Errorf("nothing was downloaded: %w", err)
	}
	defer g.discard()
	d, err := c.fetch(ctx, t, cl, e, g, key)
	if err != nil {
		return err
	}
	defer d.Close()
	if result.Path, err = g.publish(); err != nil {
		return fmt.Errorf("the file could not be saved: %w", err)
	}
	result.Acknowledged = acknowledgeEvidence(ctx, t, d)
	if c.JSON {
		return printJSON(t, result)
	}
	_, err = fmt.Fprintln(t.Out, result.Path)
	return err
}

// agree makes sure that the server says the same of the evidence twice.
func agree(r client.Report, e client.Evidence) error {
	if r.Blob == nil || r.SHA256 == nil || r.Size == nil ||
		*r.Blob != e.Blob || *r.SHA256 != e.SHA256 || *r.Size != e.Size || r.KeyCommitment != e.KeyCommitment {
		return fmt.Errorf("nothing was downloaded: %w: what it says of the report is not what it says of the evidence", client.ErrAnswer)
	}
	return nil
}

// openSealedKey is the key of the very blob that was reported.
func openSealedKey(e client.Evidence, ids identities) (envelope.Contents, formats.Key, error) {
	contents, err := envelope.Open(e.SealedKey, ids...)
	if err != nil {
		return envelope.Contents{}, nil, err
	}
	if err := contents.BoundTo(e.Blob, e.SHA256, e.Size); err != nil {
		return envelope.Contents{}, nil, fmt.Errorf("the sealed key is of another blob: it says blob %s, SHA-256 %s, %d bytes, and what was reported is blob %s, SHA-256 %s, %d bytes. "+
			"Somebody put it where it does not belong (%w)", contents.Blob, contents.SHA256, contents.Size, e.Blob, e.SHA256, e.Size, err)
	}
	key, err := formats.Parse(contents.Format, contents.Key)
	if err != nil {
		return envelope.Contents{}, nil, fmt.Errorf("the sealed key, of the format %q, is of no use: %w", contents.Format, err)
	}
	return contents, key, nil
}

// target is a new file, and never one that is there already.
func (c *moderatePullCmd) target(name string, id uuid.UUID) (*target, error) {
	own := "evidence-" + id.String()
	if name != "" {
		own = safeName(name)
	}
	path := c.Output
	if path == "" {
		path = own
	} else if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, own)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s exists, and evidence replaces nothing: choose another name with -o", path)
	}
	return newTarget(path, false)
}

// fetch downloads into a file without a name, and decrypts from there: of the plaintext
// nothing is on a disk but in the target.
func (c *moderatePullCmd) fetch(ctx context.Context, t terminal, cl *client.Client, e client.Evidence, g *target, key formats.Key) (_ *client.Download, err error) {
	if err := g.room(e.Size); err != nil {
		return nil, fmt.Errorf("nothing was downloaded: %w", err)
	}
	sealed, err := newSpool(e.Size)
	if err != nil {
		return nil, fmt.Errorf("nothing was downloaded: %w", err)
	}
	defer sealed.discard()

	bar := t.progress("pulling", e.Size)
	defer bar.clear()
	cl.Retrying = bar.retrying(t)
	d, err := cl.Open(ctx, e.Ticket)
	if err != nil {
		return nil, fmt.Errorf("the evidence could not be opened: %w", notModerated(err))
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.Size != e.Size || d.SHA256 != e.SHA256 {
		return nil, fmt.Errorf("%w: the evidence has %d bytes with SHA-256 %s, and what was reported has %d with %s. Nothing was written",
			client.ErrAnswer, d.Size, d.SHA256, e.Size, e.SHA256)
	}
	if _, err := io.Copy(sealed, bar.reading(d)); err != nil {
		return nil, fmt.Errorf("the evidence did not come whole, and nothing was written: %w. Pull it again", err)
	}
	if err := key.Decrypt(ctx, g, sealed, e.Size); err != nil {
		return nil, fmt.Errorf("the evidence could not be decrypted, and nothing was written: %w", err)
	}
	return d, nil
}

// spool is a temporary file that has no name any more: nothing of it remains, however this
// ends. Windows removes it later.
type spool struct {
	*os.File
	removed bool
}

func newSpool(size int64) (*spool, error) {
	dir := os.TempDir()
	if free, known := freeSpace(dir); known && free < size {
		return nil, fmt.Errorf("it takes %s, and %s has %s free: TMPDIR names another folder", bytesText(size), dir, bytesText(free))
	}
	f, err := os.CreateTemp("", "mayfly-*.sealed") // mode 0600
	if err != nil {
		return nil, err
	}
	return &spool{f, os.Remove(f.Name()) == nil}, nil
}

func (s *spool) discard() {
	s.Close()
	if !s.removed {
		os.Remove(s.Name())
	}
}

// acknowledgeEvidence ends the time in which the rest could be fetched. If the server cannot be
// told nothing is lost: it ends by itself.
func acknowledgeEvidence(ctx context.Context, t terminal, d *client.Download) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := d.Acknowledge(ctx); err != nil {
		fmt.Fprintln(t.Err, "All is here, but the server could not be told:", err)
		return false
	}
	return true
}

// tellProvenance says what is known of where the evidence comes from.
func tellProvenance(t terminal, p pulled) {
	uploaded := "at a time that the server does not tell"
	if p.UploadedAt != nil {
		uploaded = p.UploadedAt.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(t.Err, "Blob:     %s, %s, SHA-256 %s\nUploaded: %s\nStamp:    %s\nBinding:  %s\n", p.Blob, bytesText(p.Size), p.SHA256, uploaded,
		stampText(p.Stamp), bindingText(p.Binding))
}

// stampText says what a verdict on a stamp means.
func stampText(verdict string) string {
	switch verdict {
	case "valid":
		return "valid: blob, digest, size, commitment, context and time are as they were stamped when the bytes were stored"
	case "invalid":
		return "INVALID: blob, digest, size, commitment, context or time are not as they were when the bytes were stored: rely on none of them"
	case "unknown_key":
		return "unknown_key: the key that stamped is not among the server's, so nothing can be said"
	case "none":
		return "none: nothing was stamped when the bytes were stored"
	}
	return oneLine(verdict)
}

// bindingText says what a binding means for a decision.
func bindingText(b formats.Binding) string {
	switch b {
	case formats.Committed:
		return "committed: the bytes can be opened to this plaintext only, so it is what was sent"
	case formats.Matches:
		return "commitment matches: it is the key that the sender committed to with the upload, so it shows what was sent"
	case formats.Unverified:
		return "unverified: nothing tells this key from one that the reporter made up to show something else. Do not decide against the sender on it alone"
	case formats.Mismatch:
		return "mismatch: the sender committed to another key"
	}
	return string(b)
}
