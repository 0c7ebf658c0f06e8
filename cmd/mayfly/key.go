package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/keys"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a key and print it, alone, on stdout, this once."`
	List   keyListCmd   `cmd:"" help:"List keys: id, role, tenant, times; never the secret."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key at once."`
}

type keyCreateCmd struct {
	databaseFlag `embed:""`
	Role         string `required:"" enum:"backend,moderator,ops" placeholder:"ROLE" help:"What the key may do: backend (upload, tickets, unsend), moderator, ops."`
	Tenant       string `required:"" placeholder:"NAME" help:"Whose blobs it sees: one messaging backend. With --role ops, '*' is the operator of the installation, whose policies hold for all tenants."`
}

func (c *keyCreateCmd) Run(ctx context.Context, t terminal) error {
	k, token, err := keys.New(keys.Role(c.Role), c.Tenant, time.Now())
	if err != nil {
		return usageError{err}
	}
	db, err := openDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CreateKey(ctx, k); err != nil {
		return fmt.Errorf("record the key: %w", err)
	}
	fmt.Fprintf(t.Err, "Key %s, role %s, tenant %s. It is shown this once:\n", k.ID, k.Role, k.Tenant)
	_, err = fmt.Fprintln(t.Out, token.Reveal())
	return err
}

type keyListCmd struct {
	databaseFlag `embed:""`
	JSON         bool `name:"json" help:"As JSON."`
}

// listedKey is a key as scripts see it.
type listedKey struct {
	ID        uuid.UUID  `json:"id"`
	Role      keys.Role  `json:"role"`
	Tenant    string     `json:"tenant"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

func (c *keyListCmd) Run(ctx context.Context, t terminal) error {
	db, err := existingDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := db.Keys(ctx)
	if err != nil {
		return err
	}
	listed := make([]listedKey, len(all))
	for i, k := range all {
		listed[i] = listedKey{ID: k.ID, Role: k.Role, Tenant: k.Tenant, CreatedAt: k.CreatedAt.UTC()}
		if !k.RevokedAt.IsZero() {
			listed[i].RevokedAt = new(k.RevokedAt.UTC())
		}
	}
	if c.JSON {
		return printJSON(t, listed)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tROLE\tTENANT\tCREATED\tREVOKED")
	for _, k := range listed {
		revoked := ""
		if k.RevokedAt != nil {
			revoked = k.RevokedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Role, k.Tenant, k.CreatedAt.Format(time.RFC3339), revoked)
	}
	return w.Flush()
}

type keyRevokeCmd struct {
	databaseFlag `embed:""`
	ID           string `arg:"" help:"The key's id, from 'mayfly key list'."`
}

func (c *keyRevokeCmd) Run(ctx context.Context, t terminal) error {
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return usageError{fmt.Errorf("%q is not a key's id; see 'mayfly key list'", c.ID)}
	}
	db, err := existingDatabase(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.RevokeKey(ctx, id, time.Now()); err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	fmt.Fprintf(t.Err, "Key %s is revoked.\n", id)
	return nil
}
