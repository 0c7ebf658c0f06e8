package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"mayfly/internal/client"
	"mayfly/reports"
)

type moderateAuditCmd struct {
	Server   string `env:"MAYFLY_SERVER" default:"http://127.0.0.1:8484" placeholder:"URL" help:"The server (${default})."`
	Key      string `env:"MAYFLY_KEY" placeholder:"mfk_…" help:"API key, role moderator or ops; for a server on this machine taken from mayfly-data/moderator.key, or ops.key, if not set."`
	Insecure bool   `help:"Talk plain http beyond this machine, where everybody on the way can read the tokens."`
	Tenant   string `placeholder:"NAME" help:"Whose log; with the key of a tenant never another's."`
	Verify   bool   `help:"Verify the log from its first entry to its head."`
	Head     string `placeholder:"FILE" help:"Verify too that the log still holds all that it had when this head was exported."`
	Export   string `placeholder:"FILE" help:"Verify, and write the head, for a later --head. It may be the same file."`
	JSON     bool   `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly moderate audit --help.
func (*moderateAuditCmd) Help() string {
	return `Each entry has the hash of the one before it. --verify finds entries that were changed, dropped or moved; it does not find that all of the log was written anew, or its end cut off, by somebody who has the database. A head finds that, if it was exported before and kept elsewhere:

  mayfly moderate audit --export head.json                     the first time
  mayfly moderate audit --head head.json --export head.json    from then on

Exit status 1, and the number of the entry, if something is wrong.`
}

// Run lists the log, or verifies it.
func (c *moderateAuditCmd) Run(ctx context.Context, t terminal) error {
	kept, err := c.head()
	if err != nil {
		return err
	}
	cl, err := moderatorFlags{c.Server, c.Key, c.Insecure}.connectWith(t, auditKeyFile())
	if err != nil {
		return err
	}
	if c.Verify || c.Head != "" || c.Export != "" {
		return c.verify(ctx, t, cl, kept)
	}
	return c.list(ctx, t, cl)
}

// auditKeyFile is the moderator's, or the operator's where there is only that.
func auditKeyFile() string {
	if _, err := os.Stat(filepath.Join("mayfly-data", moderatorKeyFile)); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join("mayfly-data", opsKeyFile)); err == nil {
			return opsKeyFile
		}
	}
	return moderatorKeyFile
}

// head reads the head that was kept; nil if there is none. It makes sure that one is not
// replaced that was not verified.
func (c *moderateAuditCmd) head() (*client.AuditHead, error) {
	if c.Export != "" && c.Export != c.Head {
		if _, err := os.Lstat(c.Export); err == nil {
			return nil, usageError{fmt.Errorf("--export: %s exists. To verify the log against it and to replace it, give --head %[1]s too", c.Export)}
		}
	}
	if c.Head == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Head)
	if err != nil {
		return nil, fmt.Errorf("--head: %w", err)
	}
	var kept client.AuditHead
	if err := json.Unmarshal(text, &kept); err != nil || kept.Tenant == "" || kept.Number < 0 {
		return nil, usageError{fmt.Errorf("--head: %s was not written by mayfly moderate audit --export", c.Head)}
	}
	if c.Tenant != "" && c.Tenant != kept.Tenant {
		return nil, usageError{fmt.Errorf("--head: %s is the head of the tenant %q", c.Head, kept.Tenant)}
	}
	return &kept, nil
}

// eachEntry gives f all entries, as many as there are when the last page is asked for, and
// returns the head that came with it.
func (c *moderateAuditCmd) eachEntry(ctx context.Context, cl *client.Client, f func(tenant string, e client.AuditEntry) error) (client.AuditHead, error) {
	after := int64(0)
	for {
		page, err := cl.Audit(ctx, c.Tenant, after)
		if err != nil {
			return client.AuditHead{}, notModerated(err)
		}
		for _, e := range page.Entries {
			if err := f(page.Head.Tenant, e); err != nil {
				return client.AuditHead{}, err
			}
			after = e.Number
		}
		if len(page.Entries) == 0 || after >= page.Head.Number {
			return page.Head, nil
		}
	}
}

func (c *moderateAuditCmd) list(ctx context.Context, t terminal, cl *client.Client) error {
	all := []client.AuditEntry{}
	_, err := c.eachEntry(ctx, cl, func(_ string, e client.AuditEntry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t, all)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tAT\tACT\tBY\tREPORT\tSUBJECT")
	for _, e := range all {
		subject := "-"
		if e.Subject != nil {
			subject = e.Subject.String()
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Number, e.At.UTC().Format(time.RFC3339), oneLine(e.Act), oneLine(e.Actor), e.Report, subject)
	}
	return w.Flush()
}

// auditVerdict is the result, as scripts see it.
type auditVerdict struct {
	Verified bool             `json:"verified"`
	Head     client.AuditHead `json:"head"`
}

func (c *moderateAuditCmd) verify(ctx context.Context, t terminal, cl *client.Client, kept *client.AuditHead) error {
	var chain reports.Chain
	begun := false
	begin := func(tenant string) error {
		switch {
		case begun:
			return nil // Chain tells if the tenant changes
		case c.Tenant != "" && tenant != c.Tenant:
			return fmt.Errorf("%w: the log of the tenant %q, and not of %q", client.ErrAnswer, oneLine(tenant), c.Tenant)
		case kept != nil && tenant != kept.Tenant:
			return usageError{fmt.Errorf("--head: %s is the head of the tenant %q, and the log of the tenant %q", c.Head, kept.Tenant, oneLine(tenant))}
		}
		begun, chain.Head.Tenant = true, tenant
		return nil
	}
	// passed says whether the chain went through the head that was kept, once it is as long.
	passed := func() error {
		if kept == nil || chain.Head.Number != kept.Number || chain.Head.Hash == kept.Hash {
			return nil
		}
		return &reports.ChainError{Number: kept.Number, Problem: "it is not the one of " + c.Head + ": the log was written anew since"}
	}
	head, err := c.eachEntry(ctx, cl, func(tenant string, e client.AuditEntry) error {
		if err := begin(tenant); err != nil {
			return err
		}
		if err := chain.Add(entryOf(tenant, e)); err != nil {
			return err
		}
		return passed()
	})
	if err != nil {
		return err
	}
	if err := begin(head.Tenant); err != nil { // there was no entry
		return err
	}
	if err := chain.End(reports.Head(head)); err != nil {
		return err
	}
	if err := passed(); err != nil {
		return err
	}
	if kept != nil && chain.Head.Number < kept.Number {
		return &reports.ChainError{Number: chain.Head.Number + 1, Problem: fmt.Sprintf("it and all up to %d, which %s knows of, are missing", kept.Number, c.Head)}
	}
	if c.Export != "" {
		if err := exportHead(c.Export, head); err != nil {
			return fmt.Errorf("the log is whole, and its head could not be written: %w", err)
		}
	}
	if c.JSON {
		return printJSON(t, auditVerdict{true, head})
	}
	_, err = fmt.Fprintf(t.Out, "The audit log of the tenant %s is whole: %d entries, head %s.\n", oneLine(head.Tenant), head.Number, head.Hash)
	return err
}

// entryOf is the entry as the chain knows it.
func entryOf(tenant string, e client.AuditEntry) reports.Entry {
	r := reports.Record{Act: reports.Act(e.Act), Digest: e.Digest}
	if e.Subject != nil {
		r.Subject = *e.Subject
	}
	return reports.Entry{
		Number: e.Number, At: e.At, Tenant: tenant, Actor: e.Actor, Report: e.Report, Record: r, Previous: e.Previous, Hash: e.Hash,
	}
}

// exportHead writes a head, whole or not at all: it may replace the one that was kept.
func exportHead(path string, head client.AuditHead) error {
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSecret(path, string(text)+"\n"); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}
