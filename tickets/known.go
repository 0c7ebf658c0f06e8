package tickets

import "errors"

// known passes on an error that the Store's contract names, and wraps any other.
func known(err error, op string, named ...error) error {
	if err == nil {
		return nil
	}
	for _, n := range named {
		if errors.Is(err, n) {
			return err
		}
	}
	return &StoreError{op, err}
}
