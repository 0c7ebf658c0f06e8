package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"mayfly/internal/client"
)

// policyPlan is what mayfly policy plan has found, for a person to agree to and for
// mayfly policy apply to keep to.
type policyPlan struct {
	PlannedAt     time.Time             `json:"planned_at"`
	Tenant        string                `json:"tenant,omitempty"`
	ApplyToStored bool                  `json:"apply_to_stored"`
	Policies      []client.PolicyAnswer `json:"policies"`
}

type policyPlanCmd struct {
	policyFlags   `embed:""`
	File          string `short:"f" required:"" placeholder:"FILE" help:"The policies, in YAML."`
	ApplyToStored bool   `help:"Stored blobs follow too, where that is shorter."`
	Out           string `short:"o" placeholder:"FILE" help:"Write the plan, for mayfly policy apply."`
	JSON          bool   `name:"json" help:"As JSON."`
}

// Run plans, and changes nothing.
func (c *policyPlanCmd) Run(ctx context.Context, t terminal) error {
	file, err := readPolicyFile(c.File)
	if err != nil {
		return err
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	plan := policyPlan{PlannedAt: time.Now().UTC(), Tenant: c.Tenant, ApplyToStored: c.ApplyToStored}
	if plan.Policies, err = planAll(ctx, cl, file.requests(c.Tenant, c.ApplyToStored)); err != nil {
		return err
	}
	if c.Out != "" {
		text, err := json.MarshalIndent(plan, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Out, append(text, '\n'), 0o666); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(t, plan)
	}
	return printPlan(t, plan.Policies)
}

// planAll asks for each what it would do, and tells what is wrong with all of them.
func planAll(ctx context.Context, cl *client.Client, requests []client.PolicyRequest) ([]client.PolicyAnswer, error) {
	var answers []client.PolicyAnswer
	var faults []error
	for _, r := range requests {
		r.DryRun = true
		answer, err := cl.SetPolicy(ctx, r)
		if err != nil {
			faults = append(faults, fmt.Errorf("policy %s: %w", r.Name, err))
			if p := new(client.Problem); !errors.As(err, &p) {
				break // nobody answers
			}
		}
		answers = append(answers, answer)
	}
	return answers, errors.Join(faults...)
}

type policyApplyCmd struct {
	policyFlags `embed:""`
	File        string `short:"f" required:"" placeholder:"FILE" help:"The policies, in YAML."`
	Plan        string `placeholder:"FILE" help:"What mayfly policy plan has written. Without it stored blobs stay as they are."`
	JSON        bool   `name:"json" help:"As JSON."`
}

// Run changes what the file says. It looks at all before it changes the first.
func (c *policyApplyCmd) Run(ctx context.Context, t terminal) error {
	file, err := readPolicyFile(c.File)
	if err != nil {
		return err
	}
	plan, err := c.readPlan()
	if err != nil {
		return err
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	requests := file.requests(plan.Tenant, plan.ApplyToStored)
	now, err := planAll(ctx, cl, requests)
	if err != nil {
		return err
	}
	if c.Plan == "" {
		plan.Policies = now
	}
	todo, err := plan.stillHolds(requests, now)
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	made := []client.PolicyAnswer{}
	for _, r := range todo {
		answer, err := setAndWait(ctx, t, cl, r)
		if err != nil {
			return errors.Join(err, fmt.Errorf("%d of %d policies were changed; run the same command again to go on", len(made), len(todo)))
		}
		made = append(made, answer)
		if !c.JSON {
			if err := printChange(t, answer); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		return printJSON(t, made)
	}
	if len(todo) == 0 {
		_, err = fmt.Fprintln(t.Out, "The policies are like that already.")
	}
	return err
}

func (c *policyApplyCmd) readPlan() (policyPlan, error) {
	plan := policyPlan{Tenant: c.Tenant}
	if c.Plan == "" {
		return plan, nil
	}
	text, err := os.ReadFile(c.Plan)
	if err != nil {
		return plan, err
	}
	if err := json.Unmarshal(text, &plan); err != nil || len(plan.Policies) == 0 {
		return plan, usageError{fmt.Errorf("--plan %s: it was not written by mayfly policy plan -o", c.Plan)}
	}
	if c.Tenant != "" && c.Tenant != plan.Tenant {
		return plan, usageError{fmt.Errorf("--tenant %s: the plan is for %q", c.Tenant, plan.Tenant)}
	}
	return plan, nil
}

// stillHolds are the changes that are left to make, if the file and the policies are what the
// plan was made for; how many blobs become due the server compares. What an apply has
// made that was cut off is done.
func (p policyPlan) stillHolds(requests []client.PolicyRequest, now []client.PolicyAnswer) (todo []client.PolicyRequest, err error) {
	if len(requests) != len(p.Policies) {
		return nil, fmt.Errorf("the file has %d policies, and the plan %d: make another plan", len(requests), len(p.Policies))
	}
	var faults []error
	for i, r := range requests {
		at := slices.IndexFunc(p.Policies, func(a client.PolicyAnswer) bool { return a.Change.Name == r.Name })
		if at < 0 {
			faults = append(faults, fmt.Errorf("policy %s is not in the plan: make another", r.Name))
			continue
		}
		switch planned := p.Policies[at]; {
		case now[i].Change.After != planned.Change.After:
			faults = append(faults, fmt.Errorf("policy %s: the file is not the one that was planned with: make another plan", r.Name))
		case now[i].Plan.Base == planned.Plan.Base:
			if now[i].Change.Before != nil && *now[i].Change.Before == now[i].Change.After && !r.ApplyToStored {
				continue // nothing is to be changed
			}
			if most := planned.Plan.DueNow.Blobs + planned.Plan.DueNow.Blobs/10 + 10; now[i].Plan.DueNow.Blobs > most {
				faults = append(faults, fmt.Errorf("policy %s: %d blobs would become due at once, and %d were planned: make another plan",
					r.Name, now[i].Plan.DueNow.Blobs, planned.Plan.DueNow.Blobs))
			}
			r.Expect = &planned.Plan
			todo = append(todo, r)
		case now[i].Change.Before != nil && *now[i].Change.Before == planned.Change.After:
			// done
		default:
			faults = append(faults, fmt.Errorf("policy %s: it was changed since the plan was made: make another", r.Name))
		}
	}
	return todo, errors.Join(faults...)
}
