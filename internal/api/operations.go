package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"mayfly/internal/keys"
	"mayfly/internal/metrics"
	"mayfly/tickets"
)

// route is a method and a pattern of the router, "/v1/blobs/{id}".
type route struct{ method, pattern string }

// operation is what openapi.yaml says of a call, as the layers before its handler
// need it. Who may call and what a request looks like is written there and nowhere
// else.
type operation struct {
	// name is method and pattern: what logs and metrics call it.
	name    string
	metrics *metrics.Route
	// kinds of token, any of which the call needs; none if anybody may.
	kinds []tickets.Kind
	// roles of API keys that may call; empty for all.
	roles []keys.Role
	// query parameters by name; nil where any are passed over.
	query map[string]*openapi3.Parameter
	// ids are the path parameters that are UUIDs; names are the others, by their schemas.
	ids   []string
	names map[string]*openapi3.Schema
	// json is the schema of a JSON body, nil if the call takes none. bytes: it takes
	// an octet-stream.
	json  *openapi3.Schema
	bytes bool
	// probe marks what load balancers ask again and again.
	probe bool
}

// takesBody reports whether the call has a body at all.
func (o *operation) takesBody() bool { return o.json != nil || o.bytes }

// tenantCall reports whether the call is made with an API key, and with nothing else.
func (o *operation) tenantCall() bool { return len(o.kinds) == 1 && o.kinds[0] == tickets.KindKey }

// kinds of token by the security schemes of openapi.yaml.
var kinds = map[string]tickets.Kind{
	"ApiKey": tickets.KindKey,
	"Grant":  tickets.KindGrant,
	"Ticket": tickets.KindTicket,
	"Report": tickets.KindReport,
}

// operationsOf reads the document. It fails where the document says something that
// this package would silently not enforce.
func operationsOf(doc *openapi3.T, m *metrics.Metrics) (map[route]*operation, error) {
	ops := make(map[route]*operation)
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			op := new(operation)
			if strings.HasPrefix(path, "/v1/") {
				op.query = make(map[string]*openapi3.Parameter)
			}
			if err := op.read(spec, append(item.Parameters[:len(item.Parameters):len(item.Parameters)], spec.Parameters...)); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			ops[route{method, path}] = op
		}
	}
	// Beside the document: the front page, and HEAD where a load balancer asks.
	ops[route{http.MethodGet, "/"}] = &operation{}
	for _, path := range []string{"/", "/healthz", "/readyz", "/openapi.yaml"} {
		get, ok := ops[route{http.MethodGet, path}]
		if !ok {
			return nil, fmt.Errorf("GET %s is missing", path)
		}
		get.probe = path == "/healthz" || path == "/readyz"
		head := *get
		ops[route{http.MethodHead, path}] = &head
	}
	for r, op := range ops {
		op.name = r.method + " " + r.pattern
		op.metrics = m.Route(op.name)
	}
	return ops, nil
}

func (o *operation) read(spec *openapi3.Operation, params openapi3.Parameters) error {
	if spec.Security != nil {
		for _, alternative := range *spec.Security {
			if len(alternative) != 1 {
				return fmt.Errorf("security: one scheme at a time can be enforced")
			}
			for scheme, roles := range alternative {
				kind, ok := kinds[scheme]
				if !ok {
					return fmt.Errorf("security: unknown scheme %q", scheme)
				}
				o.kinds = append(o.kinds, kind)
				for _, role := range roles {
					o.roles = append(o.roles, keys.Role(role))
				}
			}
		}
	}
	for _, p := range params {
		switch p.Value.In {
		case openapi3.ParameterInQuery:
			o.query[p.Value.Name] = p.Value
		case openapi3.ParameterInPath:
			switch schema := p.Value.Schema.Value; {
			case schema.Format == "uuid":
				o.ids = append(o.ids, p.Value.Name)
			case schema.Pattern != "":
				o.names = map[string]*openapi3.Schema{p.Value.Name: schema}
			default:
				return fmt.Errorf("path parameter %q is no UUID and has no pattern", p.Value.Name)
			}
		}
	}
	if spec.RequestBody == nil {
		return nil
	}
	for media, content := range spec.RequestBody.Value.Content {
		switch media {
		case mediaJSON:
			o.json = content.Schema.Value
		case mediaBytes:
			o.bytes = true
		default:
			return fmt.Errorf("request body: unknown media type %q", media)
		}
	}
	return nil
}
