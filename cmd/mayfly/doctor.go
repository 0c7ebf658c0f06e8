package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/blobstore/bucket"
)

type doctorCmd struct {
	storeFlags `embed:""`
	JSON       bool `name:"json" help:"As JSON."`
}

// finding is one thing that doctor looked at, as scripts see it.
type finding struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"`
	// Mend says what is wrong and how to mend it.
	Mend string `json:"mend,omitempty"`
}

// Run looks at everything, and fails if anything breaks a promise.
func (c *doctorCmd) Run(ctx context.Context, t terminal) error {
	found := append(c.database(ctx), c.blobs(ctx)...)
	if err := c.print(t, found); err != nil {
		return err
	}
	for _, f := range found {
		if !f.OK {
			return errors.New("not all is well; see above")
		}
	}
	return nil
}

func (c *doctorCmd) database(ctx context.Context) []finding {
	db, err := existingDatabase(ctx, c.Database)
	if err != nil {
		return []finding{lookedAt("database", "", err)}
	}
	defer db.Close()
	current, _, err := db.Version(ctx)
	if err == nil {
		err = db.Ping(ctx)
	}
	found := []finding{lookedAt("database", fmt.Sprintf("%s, schema %d", redactedURL(c.Database), current), err)}
	for _, w := range db.Warnings() {
		found = append(found, lookedAt("database", "warning: "+w, nil))
	}
	backlog, err := db.Backlog(ctx, time.Now())
	text := "nothing is due"
	if backlog.Due > 0 {
		text = fmt.Sprintf("%d blobs are due, the oldest since %s", backlog.Due, backlog.OldestDueAt.UTC().Format(time.RFC3339))
	}
	return append(found, lookedAt("purge", text, err))
}

// blobs examines both blob stores, as far as their kind can be.
func (c *doctorCmd) blobs(ctx context.Context) []finding {
	found := examine(ctx, "blobs", "", c.Blobs)
	if err := c.checkEvidence(); err != nil {
		return append(found, lookedAt("evidence", "", err))
	}
	address, err := c.evidenceURL()
	if err != nil {
		return append(found, lookedAt("evidence", "", err))
	}
	return append(found, examine(ctx, "evidence", "evidence: ", address)...)
}

// examine looks at one store. Its findings have the prefix before their names.
func examine(ctx context.Context, flag, prefix, address string) []finding {
	blobs, err := openBlobs(ctx, flag, address)
	if err != nil {
		return []finding{lookedAt(flag, "", err)}
	}
	defer blobs.Close()
	b, ok := blobs.(*bucket.Store)
	if !ok {
		return []finding{lookedAt(flag, redactedURL(address)+", written, read, listed and deleted", blobs.Check(ctx))}
	}
	var found []finding
	for _, f := range b.Examine(ctx) {
		found = append(found, lookedAt(prefix+f.Name, f.Text, f.Err))
	}
	return found
}

func lookedAt(name, text string, err error) finding {
	if err != nil {
		return finding{Name: name, Mend: err.Error()}
	}
	return finding{Name: name, OK: true, Found: text}
}

func (c *doctorCmd) print(t terminal, found []finding) error {
	if c.JSON {
		return printJSON(t, found)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	for _, f := range found {
		mark, text := "ok", f.Found
		if !f.OK {
			mark, text = "BAD", f.Mend
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.Name, strings.ReplaceAll(text, "\n", " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	address, err := c.evidenceURL()
	if err != nil {
		return nil // it is told above
	}
	media, evidence := bucketOf(c.Blobs), bucketOf(address)
	if media == (bucketPart{}) && evidence == (bucketPart{}) {
		return nil
	}
	return printBucketAdvice(t.Out, media, evidence)
}
