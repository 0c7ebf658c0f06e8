package expiry

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// receiptRoom is more than the JSON of a receipt with names of usual length needs.
const receiptRoom = 512

// appendJSON is json.Marshal without its reflection, and has its output byte for byte: a
// purge signs thousands of receipts in a second. Of a receipt that was signed again the
// payload must stay what it was.
func (r Receipt) appendJSON(b []byte) (_ []byte, err error) {
	b = strconv.AppendInt(append(b, `{"version":`...), int64(r.Version), 10)
	b = append(b, `,"blob":"`...)
	b = append(b, r.Blob.String()...)
	b = append(b, '"')
	if r.SHA256 != nil {
		b = append(b, `,"sha256":"`...)
		b = hex.AppendEncode(b, r.SHA256[:])
		b = append(b, '"')
	}
	b = strconv.AppendInt(append(b, `,"size":`...), r.Size, 10)
	b = appendText(append(b, `,"reason":`...), r.Reason)
	b = appendText(append(b, `,"policy":`...), r.Policy)
	if !r.StoredAt.IsZero() {
		if b, err = appendTime(append(b, `,"stored_at":`...), r.StoredAt); err != nil {
			return nil, err
		}
	}
	if b, err = appendTime(append(b, `,"due_at":`...), r.DueAt); err != nil {
		return nil, err
	}
	if b, err = appendTime(append(b, `,"erased_at":`...), r.ErasedAt); err != nil {
		return nil, err
	}
	if b, err = appendTime(append(b, `,"verified_absent_at":`...), r.VerifiedAbsentAt); err != nil {
		return nil, err
	}
	if r.VersionsRemoved != nil {
		b = strconv.AppendInt(append(b, `,"versions_removed":`...), *r.VersionsRemoved, 10)
	}
	return append(b, '}'), nil
}

// appendText leaves what encoding/json might escape to encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string never fails
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendTime fails for a year that RFC 3339 does not have.
func appendTime(b []byte, at time.Time) ([]byte, error) {
	b, err := at.AppendText(append(b, '"'))
	return append(b, '"'), err
}
