package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/internal/metrics"
	"mayfly/internal/openapi"
	"mayfly/tickets"
)

// Keys finds API keys.
type Keys interface {
	// FindKey is the key with this id and token that is not revoked; a read.
	// keys.ErrUnknown.
	FindKey(ctx context.Context, id uuid.UUID, h tickets.Hash) (keys.Key, error)
}

// Server is Mayfly's HTTP API. Tickets and Keys are required.
type Server struct {
	Tickets *tickets.Service
	Keys    Keys
	// Policies are for the calls about them, which answer unavailable if it is nil.
	Policies *expiry.Policies
	// Purge is for the call that runs it, which answers unavailable if it is nil. Each
	// call works on a copy, within bounds of its own.
	Purge *expiry.Purge
	// Purged, if not nil, is told of each such pass.
	Purged func(expiry.PurgeResult, error)
	// Reports are for the calls of reporters and moderators; without a Service no reports
	// are taken.
	Reports Reports
	// Ready says why the service cannot do its work, nil if it can, for /readyz. It
	// is asked once a second at the most. Nil: it always can.
	Ready func(context.Context) error
	// Log takes a line for each request; slog.Default if nil.
	Log *slog.Logger
	// Metrics count what happens; if nil nobody sees the counts.
	Metrics *metrics.Metrics
	// PublicURL is where clients reach the server, "https://media.example.org". If
	// it is empty upload URLs are made of the request that asks for them.
	PublicURL string
	// BehindProxy makes X-Forwarded-For and X-Forwarded-Proto believed. Without a
	// proxy that sets them anybody could write there what he wants.
	BehindProxy bool
	// ErasureKeys is the JWK set of those that sign receipts; nil if nobody does.
	ErasureKeys []byte
	// Limits bound what clients may do; the zero value has the defaults.
	Limits Limits

	draining atomic.Bool
}

// Drain makes /readyz answer 503 from now on, so that a load balancer sends nothing
// new. What comes nevertheless is served.
func (s *Server) Drain() { s.draining.Store(true) }

// Handler is the API. It fails if the Server's fields do not fit together. Serve it
// with HTTPServer, whose timeouts belong to it.
func (s *Server) Handler() (http.Handler, error) {
	e, err := s.endpoints()
	if err != nil {
		return nil, err
	}

	router := chi.NewRouter()
	// From the outside in; each has its place for a reason.
	router.Use(
		// Gives the request its id, and whatever happens further in, a panic
		// included, one line in the log and one count.
		e.observe,
		// A token in the URL is in somebody's log already. That is told whatever the
		// path is, before anything else is done with the request.
		refuseTokensInURL(e.fail),
	)
	router.NotFound(e.notFound)
	router.MethodNotAllowed(e.methodNotAllowed(router))

	// admit needs the operation, so it comes behind the routing, and before the
	// generated code, which would complain about parameters to anybody.
	admitted := router.With(e.admit)
	handlers := e.strict()
	openapi.HandlerWithOptions(handlers, openapi.ChiServerOptions{
		BaseRouter:       admitted,
		ErrorHandlerFunc: e.failBinding,
	})
	admitted.Get("/", frontPage)
	admitted.Head("/", frontPage)
	// Some load balancers and health checks probe with HEAD.
	admitted.Head("/healthz", handlers.GetHealth)
	admitted.Head("/readyz", handlers.GetReadiness)
	admitted.Head("/openapi.yaml", handlers.GetOpenAPI)
	return router, nil
}

// endpoints is a Server with its defaults filled in, and what is made of them once.
type endpoints struct {
	*Server
	limits   Limits
	base     *url.URL // nil: of the request
	log      *slog.Logger
	metrics  *metrics.Metrics
	ready    readiness
	perToken *limiter
	// perAddress and failures count addresses: all calls but those with an API key,
	// and those whose token was refused.
	perAddress, failures *limiter

	operations map[route]*operation
	stray      *operation // what no route was found for
}

func (s *Server) endpoints() (*endpoints, error) {
	e := &endpoints{Server: s, limits: s.Limits.withDefaults(), log: s.Log, metrics: s.Metrics}
	if s.Tickets == nil || s.Keys == nil {
		return nil, errors.New("api: Server needs Tickets and Keys")
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if e.metrics == nil {
		e.metrics = metrics.New()
	}
	var err error
	if e.base, err = parsePublicURL(s.PublicURL); err != nil {
		return nil, err
	}
	e.ready.check = s.Ready
	e.perToken = newLimiter(e.limits.PerToken)
	e.perAddress = newLimiter(e.limits.PerAddress)
	e.failures = newLimiter(e.limits.FailuresPerAddress)

	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		return nil, fmt.Errorf("api: the embedded API document: %w", err)
	}
	if e.operations, err = operationsOf(doc, e.metrics); err != nil {
		return nil, fmt.Errorf("api: the embedded API document: %w", err)
	}
	e.stray = &operation{name: "none", metrics: e.metrics.Route("none")}
	return e, nil
}

// strict ties the generated strict handlers to this package's errors.
func (e *endpoints) strict() openapi.ServerInterface {
	return openapi.NewStrictHandlerWithOptions(e, nil, openapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  e.failBinding,
		ResponseErrorHandlerFunc: e.fail,
	})
}

func parsePublicURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fmt.Errorf("api: the public URL must be like https://media.example.org")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("api: the public URL has only a scheme, a host and perhaps a path")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}
