package main

import (
	"strings"
	"testing"
)

func TestMinioAddress(t *testing.T) {
	t.Parallel()
	u, err := minioAddress("http://access:secret@127.0.0.1:9000")
	if err != nil || u.Host != "127.0.0.1:9000" || u.User.Username() != "access" {
		t.Errorf("got %v, %v", u, err)
	}
	for _, bad := range []string{"", "127.0.0.1:9000", "http://127.0.0.1:9000", "https://access:hidden@127.0.0.1", "http://access:hidden@127.0.0.1:port"} {
		_, err := minioAddress(bad)
		if err == nil || !strings.Contains(err.Error(), minioVariable) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
