package faultproxy

import (
	"fmt"
	"net/http"
)

var (
	slowDownAnswer   = errorAnswer(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	errorIn200Answer = errorAnswer(http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
)

// answer is an error of S3 that the proxy itself tells.
type answer struct {
	status int
	body   string
}

func errorAnswer(status int, code, text string) answer {
	return answer{status, `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		"<Error><Code>" + code + "</Code><Message>" + text + "</Message><RequestId>FAULTPROXY</RequestId></Error>"}
}

// bytes is the answer to r on the wire. last tells the client that the connection
// ends with it.
func (a answer) bytes(r *http.Request, last bool) []byte {
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nX-Amz-Request-Id: FAULTPROXY\r\n",
		a.status, http.StatusText(a.status), len(a.body))
	if last {
		head += "Connection: close\r\n"
	}
	head += "\r\n"
	if r.Method == http.MethodHead {
		return []byte(head)
	}
	return []byte(head + a.body)
}
