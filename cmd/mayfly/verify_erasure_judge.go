package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"mayfly/expiry"
)

// judge goes through a file.
type judge struct {
	keys     expiry.Keyring
	verdicts []verdict
	// leaves are the valid receipts, for the summaries.
	leaves []leaf
}

// leaf is what a summary needs of a receipt.
type leaf struct {
	receipt expiry.Receipt
	payload []byte
}

// all judges every value of the file. What is no JSON ends it, as a verdict: where
// the next value begins nobody can say.
func (j *judge) all(in io.Reader) error {
	bounded := &boundedReader{r: in}
	d := json.NewDecoder(bounded)
	for {
		bounded.left = maxErasureValue
		var value json.RawMessage
		switch err := d.Decode(&value); {
		case errors.Is(err, io.EOF):
			if len(j.verdicts) == 0 {
				j.refuse(errors.New("there is nothing in it"))
			}
			return nil
		case isSyntax(err):
			j.refuse(fmt.Errorf("not JSON, here or in what follows: %w", err))
			return nil
		case err != nil:
			return err
		}
		j.document(value, 0)
	}
}

const (
	// maxErasureValue bounds one JSON value of the file; the values may be any number.
	maxErasureValue = 64 << 20
	// maxErasureNesting bounds what is around an envelope.
	maxErasureNesting = 4
)

// boundedReader fails when left bytes are read.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("a JSON value has more than %d bytes; give the receipts one by line", maxErasureValue)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF)
}

// document judges a value: an envelope, an array of values, or an object that
// holds envelopes. In each there must be one, or a damaged one could hide.
func (j *judge) document(value json.RawMessage, depth int) {
	if depth > maxErasureNesting {
		j.refuse(fmt.Errorf("more than %d arrays and objects around it", maxErasureNesting))
		return
	}
	if value[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			j.refuse(err)
			return
		}
		if len(items) == 0 {
			j.refuse(errors.New("an empty array"))
		}
		for _, item := range items {
			j.document(item, depth+1)
		}
		return
	}
	fields, err := members(value)
	if err != nil {
		j.refuse(err)
		return
	}
	receipt, isBlob := fields["receipt"]
	summary, hasSummary := fields["summary"]
	receipts, hasReceipts := fields["receipts"]
	_, isEnvelope := fields["payload"]
	if isEnvelope || !isBlob && !hasSummary && !hasReceipts {
		j.envelope(value, nil)
		return
	}
	if isBlob {
		j.envelope(receipt, fields["id"])
	}
	if hasSummary {
		j.envelope(summary, nil)
	}
	if hasReceipts {
		j.document(receipts, depth+1)
	}
}

// members are those of an object, each of which may come once: of two receipts one
// would not be looked at.
func members(value json.RawMessage) (map[string]json.RawMessage, error) {
	if value[0] != '{' {
		return nil, errors.New("neither an object nor an array")
	}
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("the name %.100q comes twice", name)
		}
		var field json.RawMessage
		if err := d.Decode(&field); err != nil {
			return nil, err
		}
		fields[name] = field
	}
	return fields, nil
}

// envelope judges one envelope; id is that of the blob that it came with, nil if
// it came alone.
func (j *judge) envelope(value, id json.RawMessage) {
	if string(value) == "null" {
		j.refuse(errors.New("there is no receipt: the blob is not erased, or was erased before receipts were kept"))
		return
	}
	v, err := j.keys.Verify(value)
	if err != nil {
		j.refuse(err)
		return
	}
	var blob string
	if v.Receipt != nil && id != nil && (json.Unmarshal(id, &blob) != nil || blob != v.Receipt.Blob.String()) {
		j.refuse(fmt.Errorf("%w: %.40q, and the receipt is of %s", errOtherBlob, id, v.Receipt.Blob))
		return
	}
	j.verdicts = append(j.verdicts, verdict{Number: len(j.verdicts) + 1, Valid: true, KeyID: v.KeyID, Receipt: v.Receipt, Summary: v.Summary})
	if v.Receipt != nil {
		j.leaves = append(j.leaves, leaf{receipt: *v.Receipt, payload: v.Payload})
	}
}

func (j *judge) refuse(err error) {
	v := verdict{Number: len(j.verdicts) + 1}
	v.refuse(err)
	j.verdicts = append(j.verdicts, v)
}

// completeness compares each summary with the receipts of its span.
func (j *judge) completeness(required bool) {
	slices.SortFunc(j.leaves, func(a, b leaf) int {
		return cmp.Or(bytes.Compare(a.receipt.Blob[:], b.receipt.Blob[:]), bytes.Compare(a.payload, b.payload))
	})
	// A receipt may be there twice, and signed once more after a rotation.
	leaves := slices.CompactFunc(j.leaves, func(a, b leaf) bool { return bytes.Equal(a.payload, b.payload) })
	for i := range j.verdicts {
		v := &j.verdicts[i]
		if v.Summary == nil {
			continue
		}
		err := compare(*v.Summary, leaves)
		complete := err == nil
		v.Complete = &complete
		if required && !complete {
			v.refuse(err)
		}
	}
}

// compare is nil if the summary counts just those of the receipts that are of its
// span. No receipt names its tenant: they must all be the summary's.
func compare(s expiry.Summary, leaves []leaf) error {
	tally := expiry.Tally{OverdueAfter: seconds(s.OverdueAfterSeconds)}
	for _, l := range leaves {
		if !s.Covers(l.receipt) {
			continue
		}
		if err := tally.Add(l.receipt, l.payload); err != nil {
			return fmt.Errorf("%w: %w", errIncomplete, err)
		}
	}
	there := tally.Totals()
	switch {
	case there.Receipts != s.Receipts:
		return fmt.Errorf("%w: it counts %d, and of its span there are %d", errIncomplete, s.Receipts, there.Receipts)
	case !there.Equal(s.Totals):
		return fmt.Errorf("%w: as many are of its span, and not the same ones", errIncomplete)
	}
	return nil
}
