package expiry

import (
	"errors"
	"fmt"
	"testing"

	"mayfly/blobstore"
)

func TestByKey(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	a, b := &blobstore.KeyError{Key: "aaaa", Err: fault}, &blobstore.KeyError{Key: "bbbb", Err: fault}
	for name, c := range map[string]struct {
		err   error
		named int
		rest  bool
	}{
		"nil":                         {nil, 0, false},
		"one":                         {a, 1, false},
		"joined":                      {errors.Join(a, b), 2, false},
		"wrapped by a layer":          {fmt.Errorf("limited: %w", errors.Join(a, fmt.Errorf("retried: %w", b))), 2, false},
		"no key":                      {fault, 0, true},
		"no key, wrapped":             {fmt.Errorf("delete: %w", fault), 0, true},
		"a key and something else":    {errors.Join(a, fault), 1, true},
		"a key and something wrapped": {errors.Join(fmt.Errorf("page 2: %w", fault), b), 1, true},
	} {
		failed, rest := byKey(c.err)
		if len(failed) != c.named || c.rest != (rest != nil) || c.rest && !errors.Is(rest, fault) {
			t.Errorf("%s: %v, %v", name, failed, rest)
		}
	}
}
