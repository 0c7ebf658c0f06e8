package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"mayfly/internal/client"
)

type policySetCmd struct {
	policyFlags   `embed:""`
	Name          string     `arg:"" help:"The policy; a new one needs --unopened-ttl."`
	UnopenedTTL   *span      `name:"unopened-ttl" placeholder:"14d" help:"How long a stored blob can be opened: 1m to 365d."`
	ReportWindow  *span      `placeholder:"72h" help:"How long the bytes are kept after an open: 0 to 90d."`
	ResumeWindow  *span      `placeholder:"15m" help:"How long after an open its client may fetch the rest: 0 to 24h."`
	UploadTTL     *span      `name:"upload-ttl" placeholder:"24h" help:"How long after announcing the bytes may arrive: 1m to 7d."`
	TombstoneTTL  *span      `name:"tombstone-ttl" placeholder:"90d" help:"How long a purged blob is remembered: 1d to 400d."`
	MaxSize       *byteCount `placeholder:"2GiB" help:"Of a blob: 1 to 5TiB."`
	Unlimited     *bool      `negatable:"" help:"Tickets open until the deadline, and not once. Not for a builtin policy."`
	SharedTicket  *bool      `negatable:"" help:"One ticket for all readers. Not for a builtin policy."`
	ApplyToStored bool       `help:"Stored blobs follow too, where that is shorter."`
	DryRun        bool       `help:"Only tell what would change, and which stored blobs would become due when."`
	JSON          bool       `name:"json" help:"As JSON."`
}

// Run changes the fields that are given, and leaves the others as they are.
func (c *policySetCmd) Run(ctx context.Context, t terminal) error {
	given := client.PolicyFields{
		Unlimited: c.Unlimited, SharedTicket: c.SharedTicket, UnopenedTTL: c.UnopenedTTL.seconds(), ReportWindow: c.ReportWindow.seconds(),
		ResumeWindow: c.ResumeWindow.seconds(), UploadTTL: c.UploadTTL.seconds(), TombstoneTTL: c.TombstoneTTL.seconds(), MaxSize: c.MaxSize.bytes(),
	}
	if given == (client.PolicyFields{}) && !c.ApplyToStored {
		return usageError{errors.New("nothing is to be set: give --unopened-ttl or another of the policy's fields")}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	all, err := cl.Policies(ctx, c.Tenant)
	if err != nil {
		return err
	}
	request := client.PolicyRequest{Tenant: c.Tenant, Name: c.Name, Fields: given, ApplyToStored: c.ApplyToStored, DryRun: true}
	i := slices.IndexFunc(all, func(p client.Policy) bool { return p.Name == c.Name })
	if i >= 0 {
		request.Fields = over(all[i], given)
	}
	answer, err := cl.SetPolicy(ctx, request)
	if err != nil {
		return fmt.Errorf("policy %s: %w", c.Name, err)
	}
	if i >= 0 && answer.Plan.Base != all[i].Base {
		return fmt.Errorf("policy %s: somebody else has just changed it; look at it again", c.Name)
	}
	switch {
	case c.DryRun && c.JSON:
		return printJSON(t, answer)
	case c.DryRun:
		return printPlan(t, []client.PolicyAnswer{answer})
	}
	request.DryRun, request.Expect = false, &answer.Plan
	if answer, err = setAndWait(ctx, t, cl, request); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t, answer)
	}
	return printChange(t, answer)
}

// over are all fields of a policy, with those that are given in place of its own.
func over(p client.Policy, given client.PolicyFields) client.PolicyFields {
	fill(&given.Unlimited, p.Unlimited)
	fill(&given.SharedTicket, p.SharedTicket)
	fill(&given.UnopenedTTL, p.UnopenedTTL)
	fill(&given.ReportWindow, p.ReportWindow)
	fill(&given.ResumeWindow, p.ResumeWindow)
	fill(&given.UploadTTL, p.UploadTTL)
	fill(&given.TombstoneTTL, p.TombstoneTTL)
	fill(&given.MaxSize, p.MaxSize)
	return given
}

func fill[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// setAndWait makes a change, and waits until stored blobs have followed it.
func setAndWait(ctx context.Context, t terminal, cl *client.Client, r client.PolicyRequest) (client.PolicyAnswer, error) {
	answer, err := cl.SetPolicy(ctx, r)
	if err != nil {
		return answer, fmt.Errorf("policy %s: %w", r.Name, err)
	}
	c := &answer.Change
	if c.ID == nil {
		return answer, nil
	}
	total := answer.Plan.DueNow.Blobs + answer.Plan.Later.Blobs
	for _, d := range answer.Plan.Days {
		total += d.Blobs
	}
	p := t.counting(r.Name+": stored blobs follow", total)
	defer p.clear()
	for c.FinishedAt == nil {
		p.at(c.Blobs)
		select {
		case <-ctx.Done():
			return answer, fmt.Errorf("policy %s is changed, and the server goes on letting stored blobs follow: see mayfly policy changes", r.Name)
		case <-time.After(time.Second):
		}
		page, err := cl.PolicyChanges(ctx, r.Tenant, before(*c.ID))
		if err != nil {
			return answer, fmt.Errorf("policy %s is changed, and how far stored blobs have followed cannot be seen: %w", r.Name, err)
		}
		if len(page) > 0 && page[0].ID != nil && *page[0].ID == *c.ID {
			*c = page[0]
		}
	}
	return answer, nil
}

// before is the id right before that one.
func before(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}
