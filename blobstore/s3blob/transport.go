package s3blob

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Bounds of what a request waits for. There is none for the whole of it, which depends
// on the size of the blob; a Store has its own for that.
const (
	tlsTimeout    = 10 * time.Second
	headerTimeout = 30 * time.Second
	// copyTimeout is the same where the server moves bytes before it answers: of up to
	// bucket.MaxCopy.
	copyTimeout = 10 * time.Minute
	idleConns   = 256
)

// httpClients are the client of most requests, and that of those that copy. They keep
// what the AWS configuration says of proxies and certificate authorities.
func httpClients(configured aws.HTTPClient) (quick, slow *http.Client) {
	built, ok := configured.(*awshttp.BuildableClient)
	if !ok {
		built = awshttp.NewBuildableClient() // it dials for 30 seconds at the most
	}
	build := func(header time.Duration) *http.Client {
		t := built.GetTransport()
		t.TLSHandshakeTimeout = tlsTimeout
		t.ResponseHeaderTimeout = header
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, idleConns
		t.MaxConnsPerHost = 0 // more wait for the Budget already
		// A connection a request: HTTP/2 would put all of them behind one another.
		t.ForceAttemptHTTP2 = false
		t.DisableCompression = true // a body is what was stored, byte for byte
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		return &http.Client{
			Transport: t,
			// A signature is good for one server only.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return build(headerTimeout), build(copyTimeout)
}
