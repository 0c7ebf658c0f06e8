package clienttest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Abort breaks the connection before the call happened.
func Abort(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// LoseAnswer lets the call happen and breaks the connection instead of answering.
func LoseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Stall never answers, and does not let the call happen.
func Stall(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// CutAt breaks the connection after n bytes of the body.
func CutAt(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&pipe{ResponseWriter: w, left: n, end: func() { panic(http.ErrAbortHandler) }}, r)
	}
}

// StallAt stops sending after n bytes of the body, without a word.
func StallAt(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&pipe{ResponseWriter: w, left: n, end: func() {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}}, r)
	}
}

// Trickle sends n bytes of the body, one every pause, and then breaks.
func Trickle(n int, pause time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&pipe{ResponseWriter: w, left: n, pause: pause, end: func() { panic(http.ErrAbortHandler) }}, r)
	}
}

// FlipAt flips a bit of the body's byte n.
func FlipAt(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		body := recorded.Body.Bytes()
		body[n] ^= 1
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(recorded.Code)
		w.Write(body)
	}
}

// SetHeader lets the call happen and changes a header of the answer; "" removes it.
func SetHeader(name, value string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&headers{ResponseWriter: w, name: name, value: value}, r)
	}
}

// WithoutRange serves the call as if it had no Range.
func WithoutRange(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.Header.Del("Range")
	next.ServeHTTP(w, r)
}

// Refuse answers with a problem, which asks to wait for retryAfter unless that is "".
func Refuse(status int, code, retryAfter string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		problem(w, status, code, "")
	}
}

// HappenThenRefuse lets the call happen and answers with a problem all the same.
func HappenThenRefuse(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		problem(w, status, code, "")
	}
}

// Echo answers with a problem that holds the request's secrets, as a careless
// proxy would.
func Echo(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		problem(w, status, "internal", "got\x1b[31m "+r.Header.Get("Authorization")+" and "+r.Header.Get("Claim-Key"))
	}
}

// Plain answers as something that is not Mayfly.
func Plain(status int, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// Redirect sends the client elsewhere.
func Redirect(status int, to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Location", to+r.URL.Path)
		w.WriteHeader(status)
	}
}

// pipe passes on left bytes, each after pause, and ends then.
type pipe struct {
	http.ResponseWriter
	left  int
	pause time.Duration
	end   func()
}

func (p *pipe) Write(b []byte) (int, error) {
	n := min(len(b), p.left)
	for i := range n {
		if p.pause == 0 {
			p.ResponseWriter.Write(b[:n])
			break
		}
		time.Sleep(p.pause)
		p.ResponseWriter.Write(b[i : i+1])
		http.NewResponseController(p.ResponseWriter).Flush()
	}
	p.left -= n
	if n < len(b) || p.left == 0 {
		http.NewResponseController(p.ResponseWriter).Flush()
		p.end()
	}
	return n, nil
}

// headers changes one header at the last moment.
type headers struct {
	http.ResponseWriter
	name, value string
	sent        bool
}

func (h *headers) WriteHeader(status int) {
	h.sent = true
	h.Header().Del(h.name)
	if h.value != "" {
		h.Header().Set(h.name, h.value)
	}
	h.ResponseWriter.WriteHeader(status)
}

func (h *headers) Write(b []byte) (int, error) {
	if !h.sent {
		h.WriteHeader(http.StatusOK)
	}
	return h.ResponseWriter.Write(b)
}
