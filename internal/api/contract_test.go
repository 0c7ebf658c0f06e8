package api

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"mayfly/internal/openapi"
)

// TestMain also fails if a code of openapi.yaml was produced by no test at all.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && wholeRun() {
		for _, c := range documentedCodes() {
			if _, ok := producedCodes.Load(c); !ok {
				code = 1
				println("no test produced the code", c)
			}
		}
	}
	os.Exit(code)
}

// wholeRun is false when only some tests were asked for.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.fuzz", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

var producedCodes sync.Map

func documentedCodes() []string {
	var codes []string
	for _, c := range document().Components.Schemas["ProblemCode"].Value.Enum {
		codes = append(codes, c.(string))
	}
	return codes
}

var document = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		panic(err)
	}
	return doc
})

// contract is a client's transport that fails the test when an answer is not what
// openapi.yaml says.
type contract struct {
	t    *testing.T
	next http.RoundTripper
}

func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := c.check(r, resp); err != nil {
		c.t.Errorf("%s %s: %d: the answer breaks the contract: %v", r.Method, r.URL.Path, resp.StatusCode, err)
	}
	return resp, nil
}

func (c *contract) check(r *http.Request, resp *http.Response) error {
	if resp.Header.Get("X-Request-Id") == "" {
		return errors.New("no X-Request-Id")
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		return errors.New("no nosniff")
	}
	if r.URL.Path != "/openapi.yaml" && resp.Header.Get("Cache-Control") != "no-store" {
		return errors.New("no no-store")
	}
	media := resp.Header.Get("Content-Type")
	if media == mediaBytes {
		if resp.ContentLength < 0 {
			return errors.New("a blob without a Content-Length")
		}
		return c.matches(r, resp, nil)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if media == "application/problem+json" || resp.StatusCode >= 400 && r.Method != http.MethodHead {
		if err := c.problem(resp, body); err != nil {
			return err
		}
	}
	return c.matches(r, resp, body)
}

// anyCall are the answers that openapi.yaml allows everywhere.
var anyCall = map[int]bool{400: true, 401: true, 405: true, 408: true, 413: true, 429: true, 500: true, 503: true}

func (c *contract) matches(r *http.Request, resp *http.Response, body []byte) error {
	path, item := templateOf(r.URL.Path)
	if item == nil {
		if resp.StatusCode != 404 && !anyCall[resp.StatusCode] && r.URL.Path != "/" {
			return errors.New("a path that is not in the document")
		}
		return nil
	}
	op := item.Operations()[r.Method]
	if op == nil {
		if r.Method == http.MethodHead && item.Get != nil && resp.StatusCode == 200 {
			return nil // a load balancer's probe
		}
		if !anyCall[resp.StatusCode] {
			return errors.New("a method that is not in the document")
		}
		return nil
	}
	if op.Responses.Status(resp.StatusCode) == nil && anyCall[resp.StatusCode] {
		return nil
	}
	if op.Responses.Status(resp.StatusCode) == nil {
		return errors.New("a status that is not in the document")
	}
	if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
		return errors.New("no WWW-Authenticate: Bearer")
	}
	for name := range op.Responses.Status(resp.StatusCode).Value.Headers {
		if resp.Header.Get(name) == "" {
			return errors.New("no " + name)
		}
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route:   &routers.Route{Spec: document(), Path: path, PathItem: item, Method: r.Method, Operation: op},
		},
		Status: resp.StatusCode,
		Header: resp.Header,
		Body:   io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			// The validator decodes YAML, and then misses the text that the schema promises.
			ExcludeResponseBody: body == nil || r.Method == http.MethodHead || path == "/openapi.yaml",
		},
	})
}

func (c *contract) problem(resp *http.Response, body []byte) error {
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		return errors.New("an error as " + got)
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		if len(body) > 0 {
			return errors.New("a HEAD error with a body")
		}
		return nil
	}
	var value any
	if err := jsonUnmarshal(body, &value); err != nil {
		return err
	}
	schema := document().Components.Schemas["Problem"].Value
	if err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsResponse()); err != nil {
		return err
	}
	p := value.(map[string]any)
	code := p["code"].(string)
	switch {
	case p["type"] != "urn:mayfly:problem:"+code:
		return errors.New("type and code differ")
	case p["status"].(float64) != float64(resp.StatusCode):
		return errors.New("status and status differ")
	case p["request_id"] != resp.Header.Get("X-Request-Id"):
		return errors.New("the request id differs")
	case secretPattern.Match(body):
		return errors.New("an error holds a token")
	}
	producedCodes.Store(code, true)
	return nil
}

// templateOf is the path of the document that a request's path belongs to.
func templateOf(path string) (string, *openapi3.PathItem) {
	parts := strings.Split(path, "/")
next:
	for template, item := range document().Paths.Map() {
		names := strings.Split(template, "/")
		if len(names) != len(parts) {
			continue
		}
		for i, name := range names {
			if !strings.HasPrefix(name, "{") && name != parts[i] {
				continue next
			}
		}
		return template, item
	}
	return "", nil
}
