package main

import (
	"errors"
	"strings"
	"testing"
)

func TestWhatIsMissingIsNamedAndWhatIsThereIsNot(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // and so there is no apt-get either
	there := tool{"there", nil, "it is there", func() error { return nil }}
	if err := provide(t.Context(), []tool{there}); err != nil {
		t.Error(err)
	}
	err := provide(t.Context(), []tool{
		there,
		command("nonexistent", "it is called", "package"),
		{"hidden", []string{"other"}, "it is looked for", func() error { return errors.New("it is not where it could be") }},
	})
	if err == nil || !strings.Contains(err.Error(), "missing: nonexistent (it is called), hidden (it is looked for).") ||
		!strings.Contains(err.Error(), "it is not where it could be") || strings.Contains(err.Error(), "it is there") {
		t.Errorf("provide = %v", err)
	}
}
