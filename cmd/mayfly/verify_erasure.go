package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"mayfly/expiry"
)

type verifyErasureCmd struct {
	File     string `arg:"" help:"Receipts or summaries: the answer of GET /v1/blobs/{id}, an envelope, or many, one after the other or in an array; - is standard input."`
	Keys     string `placeholder:"FILE" help:"Public keys of the Mayfly that signed: PEM (PUBLIC KEY) or JWKS. Take them from its operator, not from who gave you the receipt."`
	Complete bool   `help:"Fail also if the receipts that a summary counts are not all in FILE."`
	JSON     bool   `name:"json" help:"As JSON."`
}

// Help is behind the flags of mayfly verify-erasure --help.
func (*verifyErasureCmd) Help() string {
	return "Everything is done here, no server is asked. Exit status: 0 if all that FILE holds is valid, 1 if not, and 2 if that could " +
		"not be judged, as there is no such file or key. A receipt says what its signer claims: it is worth as much as the key's owner."
}

// verdict is what became of one receipt or summary, as scripts see it.
type verdict struct {
	// Number counts from 1, in the order of the file.
	Number  int             `json:"number"`
	Valid   bool            `json:"valid"`
	KeyID   string          `json:"key_id,omitempty"`
	Receipt *expiry.Receipt `json:"receipt,omitempty"`
	Summary *expiry.Summary `json:"summary,omitempty"`
	// Complete says of a summary whether the receipts that it counts are all there.
	Complete *bool `json:"complete,omitempty"`
	// Code and Problem say why it is not valid.
	Code    string `json:"code,omitempty"`
	Problem string `json:"problem,omitempty"`
}

var (
	errOtherBlob  = errors.New("the receipt is not of the blob that it comes with")
	errIncomplete = errors.New("the receipts that it counts are not all here")
)

// erasureCodes are the codes of the errors; no other fault is "malformed".
var erasureCodes = []struct {
	err  error
	code string
}{
	{expiry.ErrUnknownKey, "unknown_key"},
	{expiry.ErrBadSignature, "bad_signature"},
	{expiry.ErrUnknownStatement, "unknown_statement"},
	{expiry.ErrStatement, "contradictory"},
	{expiry.ErrKeyTime, "key_time"},
	{errOtherBlob, "other_blob"},
	{errIncomplete, "incomplete"},
}

func (v *verdict) refuse(err error) {
	v.Valid, v.Code, v.Problem = false, "malformed", err.Error()
	for _, c := range erasureCodes {
		if errors.Is(err, c.err) {
			v.Code = c.code
			return
		}
	}
}

// Run judges all that the file holds, and fails unless all is valid.
func (c *verifyErasureCmd) Run(ctx context.Context, t terminal) error {
	keys, err := c.keyring()
	if err != nil {
		return usageError{err}
	}
	in, err := c.open(ctx, t)
	if err != nil {
		return usageError{err}
	}
	defer in.Close()
	j := judge{keys: keys}
	if err := j.all(in); err != nil {
		return usageError{err} // not judged to the end, which is not the same as not valid
	}
	j.completeness(c.Complete)
	if err := c.print(t, j.verdicts); err != nil {
		return err
	}
	refused := 0
	for _, v := range j.verdicts {
		if !v.Valid {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d not valid; see above", refused, len(j.verdicts))
	}
	return nil
}

func (c *verifyErasureCmd) keyring() (expiry.Keyring, error) {
	if c.Keys == "" {
		return nil, errors.New("--keys is missing: the file with the public keys of the Mayfly that signed, as PEM or JWKS. " +
			"Its operator has them; who gave you the receipt could have made the key as well as the receipt")
	}
	file, err := os.ReadFile(c.Keys)
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	keys, err := expiry.ParseKeyring(file)
	if err != nil {
		return nil, fmt.Errorf("--keys %s: %w", c.Keys, err)
	}
	return keys, nil
}

func (c *verifyErasureCmd) open(ctx context.Context, t terminal) (io.ReadCloser, error) {
	if c.File == "-" {
		return interruptible(ctx, t.In), nil
	}
	return os.Open(c.File)
}

func (c *verifyErasureCmd) print(t terminal, verdicts []verdict) error {
	if c.JSON {
		return printJSON(t, verdicts)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		switch {
		case !v.Valid:
			fmt.Fprintf(w, "%d\tNOT VALID\t%s\n", v.Number, v.Problem)
		case v.Receipt != nil:
			fmt.Fprintf(w, "%d\tvalid\t%s", v.Number, receiptText(*v.Receipt, v.KeyID))
		default:
			fmt.Fprintf(w, "%d\tvalid\t%s", v.Number, summaryText(*v.Summary, v.KeyID, *v.Complete))
		}
	}
	return w.Flush()
}

// under begins a line below the text of a verdict.
const under = "\n\t\t"

func receiptText(r expiry.Receipt, keyID string) string {
	bytes := fmt.Sprintf("its bytes never arrived; %d were announced", r.Size)
	if r.SHA256 != nil {
		bytes = fmt.Sprintf("%d bytes with SHA-256 %s, stored %s", r.Size, r.SHA256, timeText(r.StoredAt))
	}
	versions := "how many versions, the blob store does not say"
	if r.VersionsRemoved != nil {
		versions = fmt.Sprintf("versions removed: %d", *r.VersionsRemoved)
	}
	return fmt.Sprintf("blob %s was erased", r.Blob) +
		under + bytes +
		under + fmt.Sprintf("policy %s, reason %s, due %s", r.Policy, r.Reason, timeText(r.DueAt)) +
		under + fmt.Sprintf("erased %s, %s after it was due; %s", timeText(r.ErasedAt), r.ErasedAt.Sub(r.DueAt).Round(time.Second), versions) +
		under + fmt.Sprintf("seen to be absent %s; signed with key %s\n", timeText(r.VerifiedAbsentAt), keyID)
}

func summaryText(s expiry.Summary, keyID string, complete bool) string {
	receipts := "not all in this file (--complete insists on it)"
	if complete {
		receipts = "all in this file"
	}
	text := fmt.Sprintf("summary of %s, tenant %s", s.Month, s.Tenant) +
		under + fmt.Sprintf("from %s to %s, made %s", timeText(s.From), timeText(s.To), timeText(s.MadeAt)) +
		under + fmt.Sprintf("%d blobs were erased, %s", s.Receipts, bytesText(s.Bytes))
	for _, reason := range slices.Sorted(maps.Keys(s.Erased)) {
		text += under + fmt.Sprintf("  %s: %d", reason, s.Erased[reason])
	}
	return text +
		under + fmt.Sprintf("oldest age %s; %d were more than %s overdue", seconds(s.OldestAgeSeconds), s.Overdue, seconds(s.OverdueAfterSeconds)) +
		under + fmt.Sprintf("its receipts are %s; signed with key %s\n", receipts, keyID)
}

func timeText(at time.Time) string { return at.Format(time.RFC3339) }

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
