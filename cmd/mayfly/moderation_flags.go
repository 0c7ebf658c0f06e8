package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"mayfly/reports"
	"mayfly/reports/envelope"
)

// moderationFlags are about reports.
type moderationFlags struct {
	Moderators        string `env:"MAYFLY_MODERATORS" type:"path" placeholder:"FILE" help:"The moderators' public keys (age recipients), one a line, to which reporters seal; made by mayfly moderate keygen. Read again when it changes. Default: moderators.txt beside an SQLite database. Without any, no reports are taken."`
	ConsentStatements string `env:"MAYFLY_CONSENT_STATEMENTS" type:"path" placeholder:"FILE" help:"What reporters consent to (YAML: a list of id, locale, text), in place of the builtin English text."`
	ReportReasons     string `env:"MAYFLY_REPORT_REASONS" placeholder:"A,B,…" help:"Reasons to report, in place of the builtin ones."`
	KeepDismissed     string `env:"MAYFLY_KEEP_DISMISSED" default:"168h" placeholder:"DURATION" help:"How long evidence is kept after its report was dismissed (${default})."`
	KeepUpheld        string `env:"MAYFLY_KEEP_UPHELD" default:"4800h" placeholder:"DURATION" help:"How long it is kept after the report was upheld, for an appeal (${default}, 200 days)."`
	StampKeys         string `env:"MAYFLY_STAMP_KEYS" type:"path" placeholder:"FILE" help:"Secret keys that stamp uploads, so that it can be said later what was uploaded when, oldest first: the last one stamps. The same for all replicas. Default: stamp-keys beside an SQLite database, made at the first start; with PostgreSQL none, and then no stamps."`
}

const moderatorsName = "moderators.txt"

// moderationConfig is what moderationFlags mean.
type moderationConfig struct {
	statements                []reports.Statement
	reasons                   []string
	keepDismissed, keepUpheld time.Duration
}

var reasonName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// parse tells each fault by its flag.
func (f moderationFlags) parse(fault func(flag string, err error)) (c moderationConfig) {
	if f.ReportReasons != "" {
		for reason := range strings.SplitSeq(f.ReportReasons, ",") {
			if !reasonName.MatchString(reason) {
				fault("report-reasons", fmt.Errorf("%q is not a reason: 1 to 64 of a-z, 0-9, dash and underscore, beginning with a letter", reason))
			}
			c.reasons = append(c.reasons, reason)
		}
	}
	var err error
	if c.statements, err = f.statements(); err != nil {
		fault("consent-statements", err)
	}
	c.keepDismissed = parseKeep(f.KeepDismissed, "keep-dismissed", fault)
	c.keepUpheld = parseKeep(f.KeepUpheld, "keep-upheld", fault)
	return c
}

// maxKeep is as long as evidence is kept without a hold: there is no "for ever".
const maxKeep = 3 * 365 * 24 * time.Hour

func parseKeep(text, flag string, fault func(string, error)) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute || d > maxKeep {
		fault(flag, fmt.Errorf("%q is not a duration from 1m to %dh, like 168h for a week", text, maxKeep/time.Hour))
	}
	return d
}

// statements reads the texts of consent; none without the flag.
func (f moderationFlags) statements() ([]reports.Statement, error) {
	if f.ConsentStatements == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.ConsentStatements)
	if err != nil {
		return nil, err
	}
	var listed []struct{ ID, Locale, Text string }
	if err := yaml.Unmarshal(text, &listed); err != nil {
		return nil, fmt.Errorf("%s: %w", f.ConsentStatements, err)
	}
	var all []reports.Statement
	for i, s := range listed {
		if s.ID == "" || s.Locale == "" || strings.TrimSpace(s.Text) == "" {
			return nil, fmt.Errorf("%s: statement %d needs id, locale and text", f.ConsentStatements, i+1)
		}
		all = append(all, reports.Statement{ID: s.ID, Locale: s.Locale, Text: strings.TrimSpace(s.Text)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no statement in it", f.ConsentStatements)
	}
	return all, nil
}

// moderators reads the recipients anew when their file has changed: who comes and who goes
// needs no restart.
type moderators struct {
	path string
	// optional: that there is no such file means that there are no moderators yet.
	optional bool

	mu       sync.Mutex
	modified time.Time
	size     int64
	read     []envelope.Recipient
}

// moderators are those of the flag, or of the file beside an embedded database.
func (f moderationFlags) moderators(database string) (*moderators, error) {
	path, isDefault, err := besideDatabase(f.Moderators, moderatorsName, database)
	if err != nil || path == "" {
		return nil, err
	}
	return &moderators{path: path, optional: isDefault}, nil
}

// recipients implements reports.Service.Recipients.
func (m *moderators) recipients(context.Context) ([]envelope.Recipient, error) {
	if m == nil {
		return nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := os.Open(m.path)
	if m.optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if m.read != nil && info.ModTime().Equal(m.modified) && info.Size() == m.size {
		return m.read, nil
	}
	read, err := envelope.ParseRecipients(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	m.read, m.modified, m.size = read, info.ModTime(), info.Size()
	return read, nil
}

// moderate makes the service take reports, and stamp what is uploaded.
func (s *service) moderate(ctx context.Context, f moderationFlags, c moderationConfig, database string) error {
	m, err := f.moderators(database)
	if err != nil {
		return err
	}
	recipients, err := m.recipients(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("--moderators: %w", err)
	case len(recipients) == 0:
		s.log.Info("no reports are taken: there are no moderators yet; make the first one with mayfly moderate keygen")
	}
	stamps, err := f.stamps(database, true)
	switch {
	case err != nil:
		return err
	case stamps == nil:
		s.log.Warn("uploads are not stamped: give --stamp-keys, the same file to every replica")
	default:
		s.stampWith(stamps)
	}
	s.reports.Recipients = m.recipients
	s.reports.Statements, s.reports.Reasons = c.statements, c.reasons
	s.reports.KeepDismissed, s.reports.KeepUpheld = c.keepDismissed, c.keepUpheld
	return nil
}

// evidenceTerms are those of the policy for evidence.
func (s *service) evidenceTerms(ctx context.Context, tenant string) (reports.Terms, error) {
	p, err := s.policies.Evidence(ctx, tenant)
	return reports.Terms{
		Policy: p.Name, Keep: p.UnopenedTTL, ResumeWindow: p.ResumeWindow,
		UploadTTL: p.UploadTTL, TombstoneTTL: p.TombstoneTTL, MaxSize: p.MaxSize,
	}, err
}
