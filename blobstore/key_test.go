package blobstore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"0000", "a-b-", "0198c1f2-7c9d-7e4b-9a3f", strings.Repeat("z", 128)} {
		if key, err := ParseKey(good); err != nil || string(key) != good {
			t.Errorf("ParseKey(%q) = %q, %v", good, key, err)
		}
	}
	for _, bad := range []string{
		"", "abc", "-abc", "ABCD", "abc.", "../..", "ab/cd", "ab\\cd", "ab\x00cd", "ab cd", "äbcd", strings.Repeat("z", 129),
	} {
		if key, err := ParseKey(bad); !errors.Is(err, ErrKey) || key != "" {
			t.Errorf("ParseKey(%q) = %q, %v, want ErrKey", bad, key, err)
		}
	}
}

func TestParseKeyErrorIsShort(t *testing.T) {
	t.Parallel()
	_, err := ParseKey(strings.Repeat("A", 1<<20))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// FuzzParseKey: whatever is a key stays one file name in one folder.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"abcd", "../..", "", "a/b/c", "-abc", "ab\x00d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParseKey(s)
		if err != nil {
			return
		}
		if name := string(key); !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ToLower(name) != name {
			t.Errorf("%q is a key", s)
		}
	})
}

func TestKeyError(t *testing.T) {
	t.Parallel()
	err := errors.Join(&KeyError{"aaaa", ErrNoSpace}, &KeyError{"bbbb", ErrKey})
	var keyErr *KeyError
	if !errors.As(err, &keyErr) || keyErr.Key != "aaaa" || !errors.Is(err, ErrKey) {
		t.Errorf("%v does not tell its keys and causes", err)
	}
}
