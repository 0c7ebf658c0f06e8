package api

import (
	"net/http"
)

// admit lets a request through to the generated code and its handler once it is in
// order. The steps go from cheap to dear, and nothing is told about a request to
// somebody who may not make it.
func (e *endpoints) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		c.op = e.operations[route{r.Method, r.Pattern}]
		for _, step := range [...]func(*call, *http.Request) error{
			e.limitAddress, // before anything is parsed, or asked of the database
			e.authenticate, // before anything is said of the request's form
			e.limitToken,   // of those who are known
			e.validate,     // may read a JSON body; never one of bytes
		} {
			if err := step(c, r); err != nil {
				e.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (e *endpoints) limitAddress(c *call, r *http.Request) error {
	c.address = e.clientAddress(r)
	if c.op.tenantCall() {
		return nil // a whole backend calls from one address: limitToken is for it
	}
	return e.perAddress.take(c, r, c.address)
}

func (e *endpoints) limitToken(c *call, r *http.Request) error {
	if len(c.op.kinds) == 0 {
		return nil
	}
	id := c.token.ID()
	return e.perToken.take(c, r, string(id[:]))
}

// notFound and methodNotAllowed answer what the router has no operation for.
func (e *endpoints) notFound(w http.ResponseWriter, r *http.Request) {
	e.lost(w, r, errNotFound)
}

func (e *endpoints) lost(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r.Context())
	if limited := e.limitAddress(c, r); limited != nil {
		err = limited
	}
	e.fail(w, r, err)
}
