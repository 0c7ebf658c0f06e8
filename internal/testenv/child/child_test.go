package child

import (
	"strings"
	"testing"
)

func TestLastLines(t *testing.T) {
	log := strings.Repeat("earlier\n", 100) + "the error\n\n"
	if got := string(LastLines([]byte(log))); strings.Count(got, "\n") != 19 || !strings.HasSuffix(got, "the error") {
		t.Errorf("got %q", got)
	}
	if got := LastLines(nil); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
