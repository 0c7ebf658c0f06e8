package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"
)

// lingering bounds the wait for a client to see that the connection ends.
const lingering = time.Second

// exchange is one call and its answer.
type exchange struct {
	p      *Proxy
	client *net.TCPConn
	in     *bufio.Reader // of client; the sending goroutine's as long as there is one
	server net.Conn

	request message
	r       *http.Request // what request means
	call    Call
	fault   Fault
	made    func()

	sending sync.WaitGroup // the goroutine that passes the request on, then watches the client
	sent    chan struct{}  // closed when the request's body is passed on, or will not be
	gone    chan struct{}  // closed when the client is gone
}

// exchange reads one call from the client and sees to its answer. It tells whether
// the connection is good for another.
func (p *Proxy) exchange(client *net.TCPConn, in *bufio.Reader) bool {
	request, r, err := readRequest(in)
	if err != nil {
		return false
	}
	x := &exchange{p: p, client: client, in: in, request: request, r: r, sent: make(chan struct{}), gone: make(chan struct{})}
	x.call, x.fault, x.made = p.arrived(r)

	switch {
	case x.fault.kind == resetBefore:
		x.made()
		reset(client)
		return false
	case x.fault.kind == slowDown:
		return x.refuse(slowDownAnswer)
	case x.fault.kind == errorIn200 && x.call.Op.lateErrors():
		return x.refuse(errorIn200Answer)
	case x.fault.kind == latency:
		x.made()
		p.wait(nil, x.fault.wait)
	}
	return x.forward()
}

// refuse answers the call itself.
func (x *exchange) refuse(a answer) bool {
	x.made()
	// Who waits for a 100 Continue is refused before the body, and who does not is
	// heard out: a connection closed with bytes unread is reset, and the answer lost.
	early := continues(x.r) && !x.request.body.empty()
	last := x.request.last || early
	if !early {
		if err := x.request.body.copy(io.Discard, middle{}); err != nil {
			return false
		}
	}
	if _, err := x.client.Write(a.bytes(x.r, last)); err != nil {
		return false
	}
	if last {
		x.hangUp()
	}
	return !last
}

// forward passes the call on, and its answer back.
func (x *exchange) forward() bool {
	server, err := net.Dial("tcp", x.p.server)
	if err != nil || !x.p.track(server) {
		reset(x.client)
		return false
	}
	x.server = server
	defer x.p.release(server)
	// The answer may come before the body is sent, and 100 Continue must.
	x.sending.Go(x.send)
	again := x.receive()
	if again {
		// The server may have answered early, and still read.
		<-x.sent
	} else {
		x.client.Close() // ends the watch
	}
	x.server.Close()
	x.sending.Wait()
	return again
}

// send passes the request on, and then watches the client, until the next request
// begins or the client is gone.
func (x *exchange) send() {
	err := x.sendRequest()
	whole := err == nil
	close(x.sent)
	switch {
	case errors.Is(err, errMiddle):
		// First the server, and cleanly: what was passed on must arrive.
		x.server.Close()
		reset(x.client)
	case whole:
		_, err = x.in.Peek(1)
	}
	if err != nil {
		close(x.gone)
		if !whole || !x.fault.effect() {
			x.server.Close()
		}
	}
}

func (x *exchange) sendRequest() error {
	var m middle
	switch x.fault.kind {
	case resetRequest:
		m = middle{hit: x.made}
	case flipRequestByte:
		m = middle{hit: x.made, flip: true}
	}
	out := &sink{w: x.server}
	if x.fault.kind == resetRequest && x.request.body.empty() {
		out.Write(x.request.halfHead())
		x.made()
		return errMiddle
	}
	out.Write(x.request.head)
	return x.request.body.copy(out, m)
}

// receive passes the answer back. It tells whether the client's connection is good
// for another call.
func (x *exchange) receive() bool {
	resp, status, err := readResponse(newReader(x.server), x.r, x.client)
	if err != nil {
		x.broken(err)
		return false
	}
	last := x.request.last || resp.last

	switch {
	case x.fault.kind == effectThenTimeout:
		return x.drop(resp)
	case x.fault.kind == effectThenErrorIn200 && x.call.Op.lateErrors() && status == http.StatusOK:
		// CompleteMultipartUpload sends its head first, and then does its work.
		if err := resp.body.copy(io.Discard, middle{}); err != nil {
			x.broken(err)
			return false
		}
		x.made()
		_, err = x.client.Write(errorIn200Answer.bytes(x.r, last))
	default:
		err = x.relay(resp)
	}

	switch {
	case errors.Is(err, errMiddle):
		x.cut()
		return false
	case err != nil:
		x.broken(err)
		return false
	case last:
		x.hangUp()
		return false
	}
	return true
}

// relay sends the answer to the client, up to the middle if the fault says so.
func (x *exchange) relay(resp message) error {
	var m middle
	switch x.fault.kind {
	case flipResponseByte:
		m = middle{hit: x.made, flip: true}
	case shortRead:
		m = middle{hit: x.made}
	case resetResponse, stall:
		m = middle{hit: x.made}
		if resp.body.empty() {
			x.made()
			if _, err := x.client.Write(resp.halfHead()); err != nil {
				return err
			}
			return errMiddle
		}
	}
	if _, err := x.client.Write(resp.head); err != nil {
		return err
	}
	return resp.body.copy(x.client, m)
}

// cut ends an answer of which the client has half.
func (x *exchange) cut() {
	switch x.fault.kind {
	case resetResponse:
		reset(x.client)
	case shortRead:
		x.hangUp()
	case stall:
		x.p.wait(x.gone, math.MaxInt64)
	}
}

// drop reads the answer to its end, so that the effect is there, and keeps it.
func (x *exchange) drop(resp message) bool {
	if err := resp.body.copy(io.Discard, middle{}); err != nil {
		x.broken(err)
		return false
	}
	x.made()
	x.p.wait(x.gone, x.fault.wait)
	x.hangUp()
	return false
}

// broken ends the client's connection as the server ended its own.
func (x *exchange) broken(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		x.hangUp()
		return
	}
	reset(x.client)
}

// hangUp closes the client's connection cleanly: the end first, and the rest when
// the client has closed too. To close with bytes of the client unread would be a
// reset, and could take from the client what it was sent.
func (x *exchange) hangUp() {
	x.client.CloseWrite()
	x.client.SetReadDeadline(time.Now().Add(lingering))
	if x.server != nil {
		x.server.Close()
	}
	x.sending.Wait()
	io.Copy(io.Discard, x.in)
	x.client.Close()
}

// reset closes the connection by RST.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// sink writes to w until that fails, and then nowhere: a server that answers and
// hangs up before the body's end must not keep its answer from a client that reads
// none before it has sent all.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	return len(p), nil
}
