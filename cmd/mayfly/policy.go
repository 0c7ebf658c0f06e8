package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
)

type policyCmd struct {
	List    policyListCmd    `cmd:"" help:"List the policies that hold, and where each comes from."`
	Set     policySetCmd     `cmd:"" help:"Change a policy, or add one."`
	Plan    policyPlanCmd    `cmd:"" help:"Tell what a file of policies would change, and which stored blobs would become due when."`
	Apply   policyApplyCmd   `cmd:"" help:"Make the policies what a file says, as planned or not at all."`
	Remove  policyRemoveCmd  `cmd:"" help:"Give a policy up for the one beneath: the installation's, or the builtin one."`
	Changes policyChangesCmd `cmd:"" help:"List who changed which policy, when, from what to what."`
}

// Help is behind the flags of mayfly policy --help.
func (*policyCmd) Help() string {
	return "With a key of the tenant '*' these are the policies that hold for all tenants, and with --tenant one tenant's own, " +
		"which go before them. A key of a tenant manages that tenant's own only. New blobs follow a change at once; stored ones only " +
		"with --apply-to-stored, and only where that is shorter."
}

// policyFlags say whose policies it is about.
type policyFlags struct {
	opsFlags `embed:""`
	Tenant   string `placeholder:"NAME" help:"Whose own policies; with the key of a tenant never another's."`
}

type policyListCmd struct {
	policyFlags `embed:""`
	JSON        bool `name:"json" help:"As JSON."`
}

// Run lists the policies.
func (c *policyListCmd) Run(ctx context.Context, t terminal) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	all, err := cl.Policies(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t, all)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POLICY\tORIGIN\tOPENS\tUNOPENED\tREPORT\tRESUME\tUPLOAD\tTOMBSTONE\tMAX SIZE")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Origin, opensText(p),
			secondsText(p.UnopenedTTL), secondsText(p.ReportWindow), secondsText(p.ResumeWindow),
			secondsText(p.UploadTTL), secondsText(p.TombstoneTTL), bytesText(p.MaxSize))
	}
	return w.Flush()
}

// opensText is what kind of policy it is.
func opensText(p client.Policy) string {
	text := "once"
	switch {
	case p.Unlimited && p.SharedTicket:
		text = "unlimited, one ticket"
	case p.Unlimited:
		text = "unlimited"
	case p.SharedTicket:
		text = "once, one ticket"
	}
	if p.Internal {
		text += ", internal"
	}
	return text
}

type policyRemoveCmd struct {
	policyFlags `embed:""`
	Name        string `arg:"" help:"The policy."`
	JSON        bool   `name:"json" help:"As JSON."`
}

// Run removes a policy.
func (c *policyRemoveCmd) Run(ctx context.Context, t terminal) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	answer, err := cl.RemovePolicy(ctx, c.Tenant, c.Name)
	if err != nil {
		return fmt.Errorf("policy %s: %w", c.Name, err)
	}
	if c.JSON {
		return printJSON(t, answer)
	}
	return printChange(t, answer)
}

type policyChangesCmd struct {
	policyFlags `embed:""`
	JSON        bool `name:"json" help:"As JSON."`
}

// Run lists the record, page by page.
func (c *policyChangesCmd) Run(ctx context.Context, t terminal) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	all := []client.PolicyChange{}
	var after uuid.UUID
	for {
		page, err := cl.PolicyChanges(ctx, c.Tenant, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		after = *page[len(page)-1].ID
	}
	if c.JSON {
		return printJSON(t, all)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHANGED\tBY KEY\tTENANT\tPOLICY\tCHANGE\tSTORED BLOBS")
	for _, change := range all {
		stored := "as they were"
		if change.ApplyToStored {
			stored = amountText(change.PolicyAmount) + " earlier"
			if change.FinishedAt == nil {
				stored += " so far"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", change.ChangedAt.UTC().Format(time.RFC3339), change.ChangedBy,
			change.Tenant, change.Name, differences(change), stored)
	}
	return w.Flush()
}
