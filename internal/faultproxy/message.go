package faultproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// headLimit is more than any S3 server takes.
const headLimit = 1 << 20

var errHeadTooLong = errors.New("the head is too long")

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 32<<10) }

// message is a request or an answer: its head as it was sent, and its body, which
// is still to be read.
type message struct {
	head []byte
	body body
	// last tells that the sender ends the connection with this message.
	last bool
}

// halfHead is at most half of the head, in whole lines if there is one: net/http would
// take half a line for a malformed header, and so for a fault of the server's.
func (m message) halfHead() []byte {
	half := m.head[:len(m.head)/2]
	if end := bytes.LastIndexByte(half, '\n'); end >= 0 {
		return half[:end+1]
	}
	return half
}

// readHead reads up to the empty line, which it returns too. The error is io.EOF
// only before the first byte.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for len(head) < headLimit {
		line, err := r.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // a long line goes on
		case errors.Is(err, io.EOF) && len(head) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case bytes.HasSuffix(head, []byte("\n\r\n")), bytes.HasSuffix(head, []byte("\n\n")):
			return head, nil
		}
	}
	return nil, errHeadTooLong
}

// readRequest reads a request up to its body. net/http reads the copy of the head,
// for what it means; what is passed on is the head.
func readRequest(in *bufio.Reader) (message, *http.Request, error) {
	head, err := readHead(in)
	if err != nil {
		return message{}, nil, err
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return message{}, nil, err
	}
	b := body{in: in, length: r.ContentLength, chunked: slices.Contains(r.TransferEncoding, "chunked")}
	b.awsChunked = strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") ||
		strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked")
	return message{head, b, r.Close}, r, nil
}

// readResponse reads the answer to r up to its body, and writes the interim ones
// (100 Continue) that come before it to interim, as they come.
func readResponse(in *bufio.Reader, r *http.Request, interim io.Writer) (m message, status int, err error) {
	for {
		head, err := readHead(in)
		if err != nil {
			return message{}, 0, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), r)
		if err != nil {
			return message{}, 0, err
		}
		if resp.StatusCode >= 200 {
			b := body{in: in, length: resp.ContentLength, chunked: slices.Contains(resp.TransferEncoding, "chunked")}
			if resp.Body == http.NoBody { // HEAD, 204, 304
				b.length, b.chunked = 0, false
			}
			return message{head, b, resp.Close || b.untilEOF()}, resp.StatusCode, nil
		}
		if _, err := interim.Write(head); err != nil {
			return message{}, 0, err
		}
	}
}

// continues tells whether the client waits for 100 Continue with its body.
func continues(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}
