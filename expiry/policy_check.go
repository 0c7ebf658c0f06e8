package expiry

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// The bounds of a policy. There is no "for ever", and nothing so short that a slip of
// the pen deletes what was just sent.
const (
	minUnopenedTTL  = time.Minute
	maxUnopenedTTL  = 365 * day
	maxReportWindow = 90 * day
	maxResumeWindow = day
	minUploadTTL    = time.Minute
	maxUploadTTL    = 7 * day
	minTombstoneTTL = day
	maxTombstoneTTL = 400 * day
	maxBlobSize     = 5 << 40
)

var policyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// PolicyFieldError says which field of a policy is wrong, and what would be right.
type PolicyFieldError struct {
	// Field by its name in the API, "unopened_ttl".
	Field string
	// Problem as a sentence fragment: "must be at least 60 seconds".
	Problem string
}

func (e *PolicyFieldError) Error() string { return e.Field + " " + e.Problem }

// Check says all that is wrong with a policy that is to be set: a *PolicyFieldError
// for each field, joined.
func (p Policy) Check() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, &PolicyFieldError{field, fmt.Sprintf(format, args...)})
	}
	if !policyName.MatchString(p.Name) {
		fault("name", "must be 1 to 64 of a-z, 0-9 and dash, and not begin with a dash")
	}
	for _, d := range []struct {
		field       string
		is          time.Duration
		least, most time.Duration
	}{
		{"unopened_ttl", p.UnopenedTTL, minUnopenedTTL, maxUnopenedTTL},
		{"report_window", p.ReportWindow, 0, maxReportWindow},
		{"resume_window", p.ResumeWindow, 0, maxResumeWindow},
		{"upload_ttl", p.UploadTTL, minUploadTTL, maxUploadTTL},
		{"tombstone_ttl", p.TombstoneTTL, minTombstoneTTL, maxTombstoneTTL},
	} {
		switch {
		case d.is < d.least:
			fault(d.field, "must be at least %d seconds", int64(d.least/time.Second))
		case d.is > d.most:
			fault(d.field, "must be at most %d seconds", int64(d.most/time.Second))
		case d.is%time.Second != 0:
			fault(d.field, "must be a whole number of seconds")
		}
	}
	switch {
	case p.MaxSize < 1:
		fault("max_size", "must be at least 1")
	case p.MaxSize > maxBlobSize:
		fault("max_size", "must be at most %d", int64(maxBlobSize))
	}
	return errors.Join(append(faults, p.checkKind()...)...)
}

// checkKind refuses to make something else of a policy that senders' clients know.
func (p Policy) checkKind() (faults []error) {
	for _, b := range Builtin() {
		if b.Name != p.Name {
			continue
		}
		if p.Unlimited != b.Unlimited {
			faults = append(faults, &PolicyFieldError{"unlimited", "cannot be changed for a builtin policy"})
		}
		if p.SharedTicket != b.SharedTicket {
			faults = append(faults, &PolicyFieldError{"shared_ticket", "cannot be changed for a builtin policy"})
		}
		if !b.Internal {
			return faults
		}
		// Of evidence the reports decide all else.
		for _, f := range []struct {
			field   string
			changed bool
		}{
			{"report_window", p.ReportWindow != b.ReportWindow},
			{"resume_window", p.ResumeWindow != b.ResumeWindow},
			{"max_size", p.MaxSize != b.MaxSize},
		} {
			if f.changed {
				faults = append(faults, &PolicyFieldError{f.field, "cannot be changed for an internal policy"})
			}
		}
	}
	return faults
}
