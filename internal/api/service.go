package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"mayfly/internal/openapi"
)

// GetHealth is GET /healthz.
func (e *endpoints) GetHealth(ctx context.Context, _ openapi.GetHealthRequestObject) (openapi.GetHealthResponseObject, error) {
	return openapi.GetHealth200JSONResponse{Status: openapi.Ok}, nil
}

// GetReadiness is GET /readyz.
func (e *endpoints) GetReadiness(ctx context.Context, _ openapi.GetReadinessRequestObject) (openapi.GetReadinessResponseObject, error) {
	if e.draining.Load() {
		return nil, &refusal{errNotReady, "The server is draining."}
	}
	if err := e.ready.ask(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotReady, err)
	}
	return openapi.GetReadiness200JSONResponse{Status: openapi.Ok}, nil
}

// GetErasureKeys is GET /v1/erasure-keys.
func (e *endpoints) GetErasureKeys(context.Context, openapi.GetErasureKeysRequestObject) (openapi.GetErasureKeysResponseObject, error) {
	answer := openapi.GetErasureKeys200JSONResponse{Keys: []map[string]any{}}
	if e.ErasureKeys == nil {
		return answer, nil
	}
	if err := json.Unmarshal(e.ErasureKeys, &answer); err != nil {
		return nil, fmt.Errorf("keys of receipts: %w", err)
	}
	return answer, nil
}

// GetOpenAPI is GET /openapi.yaml.
func (e *endpoints) GetOpenAPI(ctx context.Context, _ openapi.GetOpenAPIRequestObject) (openapi.GetOpenAPIResponseObject, error) {
	delete(callOf(ctx).Header(), "Cache-Control")
	return openapi.GetOpenAPI200ApplicationYamlResponse{
		Body: bytes.NewReader(openapi.Document), ContentLength: int64(len(openapi.Document)),
	}, nil
}

const (
	readyEvery   = time.Second
	readyTimeout = 5 * time.Second
)

// readiness asks the database and the store, once a second at the most, whoever
// asks it: anybody may.
type readiness struct {
	check func(context.Context) error

	mu    sync.Mutex
	asked time.Time
	err   error
}

func (r *readiness) ask(ctx context.Context) error {
	if r.check == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < readyEvery {
		return r.err
	}
	// The answer is for others too: it must not end with this one's request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	r.err = r.check(ctx)
	r.asked = time.Now()
	return r.err
}

const frontPageText = `This is Mayfly. It keeps end-to-end encrypted media until it is opened, once.

If somebody sent you a link to this server, open it with:

    mayfly open 'LINK'

Looking at this page, or at the link in a browser, opens nothing.
The API is described in /openapi.yaml.
`

// frontPage is for people who put a link into a browser. What opens the blob stands
// behind the link's '#' and never gets here.
func frontPage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'")
	_, _ = io.WriteString(w, frontPageText)
}

// methodNotAllowed tells which methods the path does take (RFC 9110 §15.5.6).
func (e *endpoints) methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		e.lost(w, r, errMethodNotAllowed)
	}
}
