package client_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"mayfly/blobstore"
	"mayfly/internal/client"
	"mayfly/internal/client/clienttest"
)

// A digest that was announced is checked by the server.
func TestAnnouncedDigest(t *testing.T) {
	in(t, func(s *setting) {
		sum := blobstore.Digest(sha256.Sum256(content(10)))
		if _, err := s.upload(content(10), client.NewBlob{SHA256: &sum}); err != nil {
			s.Error(err)
		}
		_, err := s.upload(slices.Repeat([]byte{1}, 10), client.NewBlob{SHA256: &sum})
		if p := fails[*client.Problem](s, err); p.Code != "digest_mismatch" {
			s.Errorf("%#v", p)
		}
	})
}

func TestAnnounceRefused(t *testing.T) {
	in(t, func(s *setting) {
		_, err := s.client.Announce(s.Context(), client.NewBlob{Policy: "for-ever"})
		if p := fails[*client.Problem](s, err); p.Code != "invalid_request" || !strings.Contains(p.Error(), "policy is unknown") {
			s.Errorf("%#v", p)
		}
		s.client.Key = s.server.Store(nil) // not a key
		_, err = s.client.Announce(s.Context(), client.NewBlob{})
		if p := fails[*client.Problem](s, err); p.Code != "unknown_key" {
			s.Errorf("%#v", p)
		}
		none := client.Client{Server: "http://127.0.0.1:1"}
		if _, err := none.Announce(s.Context(), client.NewBlob{}); !errors.Is(err, client.ErrNoKey) {
			s.Errorf("got %v", err)
		}
	})
}

func TestAnnounceAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"no grant":         `{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","state":"stored","tickets":[]}`,
		"too few tickets":  `{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","state":"pending","upload":{"method":"PUT","url":"http://a.test","headers":{},"expires_at":"2030-01-01T00:00:00Z"},"tickets":[]}`,
		"a mistyped token": `{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","state":"pending","upload":{"method":"PUT","url":"http://a.test","headers":{},"expires_at":"2030-01-01T00:00:00Z"},"tickets":[{"id":"0193b1c2-6d2f-7b3a-8f60-51b0d3f0a9c4","recipient":"","token":"mft_SESAME","expires_at":"2030-01-01T00:00:00Z"}]}`,
		"not JSON":         `mft_SESAME`,
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(s *setting) {
				s.server.Fail("POST /v1/blobs", clienttest.Plain(201, answer))
				_, err := s.client.Announce(s.Context(), client.NewBlob{})
				if !errors.Is(err, client.ErrAnswer) || strings.Contains(err.Error(), "SESAME") {
					s.Errorf("got %v", err)
				}
			})
		})
	}
}

// Where the server wants the upload is held to the same rules as the server.
func TestGrantAddress(t *testing.T) {
	in(t, func(s *setting) {
		s.client.Insecure, s.client.Server = false, "http://localhost"
		s.net.Serve(s.T, "localhost:80", s.server)
		_, err := s.client.Announce(s.Context(), client.NewBlob{Size: 1})
		if s.keepsSecrets(err); !errors.Is(err, client.ErrServer) {
			s.Errorf("announce: %v", err)
		}
		grant := client.Grant{Method: "PUT", URL: "http://mayfly.test/v1/uploads"}
		if _, err := s.client.Upload(s.Context(), client.Upload{Grant: grant}); !errors.Is(err, client.ErrServer) {
			s.Errorf("upload: %v", err)
		}
	})
}

func TestUnsend(t *testing.T) {
	in(t, func(s *setting) {
		a, err := s.upload(content(10), client.NewBlob{})
		if err != nil {
			s.Fatal(err)
		}
		if err := s.client.Unsend(s.Context(), a.ID); err != nil {
			s.Error(err)
		}
		if _, stored, unsent := s.server.Blob(); stored || !unsent {
			s.Error("still there")
		}
	})
}
