package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"mayfly/internal/openapi"
	"mayfly/tickets"
)

var (
	// ErrServer: the address of the server is not one that tokens are sent to.
	ErrServer = errors.New("server address is not usable")
	// ErrNoKey: the call needs Client.Key.
	ErrNoKey = errors.New("no API key")
	// ErrRedirect: the server redirects. A token must not follow to another address.
	ErrRedirect = errors.New("the server redirects, and a token does not follow")
	// ErrAnswer: the answer breaks the API's contract. Likely it is not Mayfly's.
	ErrAnswer = errors.New("this is not an answer of Mayfly")
	// ErrStalled: nothing moved for too long.
	ErrStalled = errors.New("nothing moved for too long")
	// ErrBroken: the connection broke during a download.
	ErrBroken = errors.New("the connection broke")
)

// UnreachableError says that a request got no answer.
type UnreachableError struct {
	// Host is the address that was asked.
	Host string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from %s: %v", e.Host, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

const (
	defaultPatience = 10 * time.Minute
	defaultStall    = time.Minute
	// storeTime is how long a server may take from the last byte of an upload to
	// its answer: syncing, or completing a multipart upload.
	storeTime = 5 * time.Minute
	// maxAnswer bounds a JSON answer: 1024 recipients of 256 bytes, escaped, and
	// their tokens are well below. In bytes.
	maxAnswer = 8 << 20
)

// Client calls one Mayfly. The zero value of each field but Server is its
// default. Safe for concurrent use; not to be copied after the first call.
type Client struct {
	// Server is the service's address: https://media.example.org, with a path if
	// it is served below one.
	Server string
	// Key is the API key. Announce and Unsend need it, grants and tickets do not.
	Key tickets.Token
	// Insecure lets tokens cross a network in the clear: plain http beyond loopback.
	Insecure bool
	// HTTP makes the calls. Its Timeout and CheckRedirect are not used: the one
	// would cut transfers that move, the other could let tokens go astray. Default:
	// HTTP/1.1 and 2, the environment's proxy, time-outs for every step but the transfer.
	HTTP *http.Client
	// BackOff makes the waits between tries. Default: exponential with jitter, from
	// half a second to half a minute. A server's Retry-After goes before it.
	BackOff func() backoff.BackOff
	// Patience is how long a download may make no progress before it is given up,
	// and the longest Retry-After that is waited for. Default: 10 minutes, within
	// the resume window of 15.
	Patience time.Duration
	// Stall is how long a connection may move nothing before it is given up and
	// made anew. Default: 60 seconds.
	Stall time.Duration
	// Retrying, if set, is told before each wait why a call will be tried again.
	Retrying func(err error, wait time.Duration)

	once sync.Once
	http *http.Client
}

func (c *Client) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return defaultPatience
}

func (c *Client) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return defaultStall
}

// api is the generated client with this one's rules around it.
func (c *Client) api() (*openapi.Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return openapi.NewClient(c.Server, openapi.WithHTTPClient(doer{c}))
}

// Check says whether tokens may go to Server at all, without calling it. Every
// call checks. Fails with ErrServer.
func (c *Client) Check() error {
	if strings.Contains(c.Server, "?") {
		return fmt.Errorf("%w: it holds a query", ErrServer)
	}
	return c.checkAddress(c.Server)
}

// checkAddress refuses an address to which no token may go. The error does not
// quote it: there may be a password in it.
func (c *Client) checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: it is not like https://media.example.org", ErrServer)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user name", ErrServer)
	case u.Fragment != "":
		return fmt.Errorf("%w: it holds a fragment", ErrServer)
	case u.Scheme == "http" && !c.Insecure && !loopback(u.Hostname()):
		// P8: tokens do not cross a network in the clear.
		return fmt.Errorf("%w: %s is beyond this machine and without TLS, so everybody on the way could read the tokens",
			ErrServer, u.Hostname())
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// doer makes a single call, follows nothing, and says what went wrong without
// the address: a presigned one is a secret.
type doer struct{ c *Client }

func (d doer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.c.client().Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if cause := context.Cause(req.Context()); cause != nil {
			err = cause
		}
		return nil, &UnreachableError{Host: req.URL.Host, Err: err}
	}
	if resp.StatusCode/100 == 3 {
		resp.Body.Close()
		return nil, ErrRedirect
	}
	return resp, nil
}

func (c *Client) client() *http.Client {
	c.once.Do(func() {
		c.http = &http.Client{Transport: transport()}
		if c.HTTP != nil {
			c.http = &http.Client{Transport: c.HTTP.Transport, Jar: c.HTTP.Jar}
		}
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	})
	return c.http
}

// transport has a time-out for each step that does not depend on the blob's size.
// The transfer itself, and the wait for an answer, are watched (see watch).
func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 15 * time.Second,
		// A server that refuses an upload says so before the body is sent.
		ExpectContinueTimeout:  2 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		// Ranges and digests are of the bytes as they are stored.
		DisableCompression: true,
		// A connection that died silently must not be taken for the next try.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// call makes a small call, whose answer is JSON or empty, with retries. The
// answer is decoded into out if that is not nil.
func (c *Client) call(ctx context.Context, b bounds, want int, out any, send func(context.Context, *openapi.Client) (*http.Response, error)) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	_, err = retry(ctx, c, b, func() (struct{}, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(b.stall, c.stall()), ErrStalled)
		defer cancel()
		resp, err := send(ctx, api)
		if err != nil {
			return struct{}{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			return struct{}{}, problemOf(resp)
		}
		return struct{}{}, decode(ctx, resp, out)
	})
	return err
}

func decode(ctx context.Context, resp *http.Response, out any) error {
	if out == nil {
		return nil
	}
	// What is cut off here is no JSON any more.
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &UnreachableError{Host: resp.Request.URL.Host, Err: err}
	}
	// The decoder's own error would quote what it stumbled over, a token perhaps.
	if json.Unmarshal(raw, out) != nil {
		return fmt.Errorf("%w: not the JSON that was asked for", ErrAnswer)
	}
	return nil
}

// bearer sends the token in the one place where a token belongs (P8).
func bearer(token tickets.Token) openapi.RequestEditorFn {
	return func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
		return nil
	}
}
