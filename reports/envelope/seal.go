package envelope

import (
	"bytes"
	"fmt"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// MaxBytes of an envelope, as armored text.
const MaxBytes = 64 << 10

// Seal encrypts the contents to all of the recipients: each can open the envelope
// alone. It fails with ErrContents, ErrRecipient or ErrTooLarge, as ParseRecipients
// says of the recipients.
func Seal(c Contents, to []Recipient) (armored string, err error) {
	data, err := c.encode()
	if err != nil {
		return "", err
	}
	recipients, err := headed(to)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, recipients...)
	if err != nil {
		return "", fmt.Errorf("%w: age cannot encrypt to it", ErrRecipient)
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if err := a.Close(); err != nil {
		return "", err
	}
	if b.Len() > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes, more than %d", ErrTooLarge, b.Len(), MaxBytes)
	}
	return b.String(), nil
}

// headed is the recipients as age knows them, behind the stanza that names them.
func headed(to []Recipient) ([]age.Recipient, error) {
	if len(to) == 0 {
		return nil, fmt.Errorf("%w: there is none to seal to", ErrRecipient)
	}
	head := address{hybrid: to[0].hybrid}
	recipients := make([]age.Recipient, 1, 1+len(to))
	for i, r := range to {
		if err := joins(r, to[:i]); err != nil {
			return nil, err
		}
		key, err := r.key()
		if err != nil {
			return nil, fmt.Errorf("%w: mistyped or cut off", ErrRecipient)
		}
		head.ids = append(head.ids, r.id)
		recipients = append(recipients, key)
	}
	recipients[0] = head
	return recipients, nil
}
