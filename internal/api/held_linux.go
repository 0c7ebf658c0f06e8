package api

import (
	"context"
	"net"
	"net/http"

	"golang.org/x/sys/unix"
)

// tcpConn is a TCP connection that can hold a header back.
type tcpConn struct {
	*net.TCPConn
	// holding is set and read by the one goroutine that serves the connection.
	holding bool
}

type tcpKey struct{}

// withTCP lets flushHeld find the connection, if its bytes go out as they are
// written: not one with TLS.
func withTCP(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*limitedTCP); ok {
		return context.WithValue(ctx, tcpKey{}, &tcp.tcpConn)
	}
	return ctx
}

// flushHeld writes the header in a way that keeps the kernel from sending it in a packet of
// its own: it goes with the first bytes of the file that is written next (send(2), MSG_MORE).
// The client reads once where it would be woken twice, and net/http does not
// read the file's first bytes itself to send them along.
func flushHeld(ctx context.Context, control *http.ResponseController) error {
	tcp, ok := ctx.Value(tcpKey{}).(*tcpConn)
	if !ok {
		return nil // net/http writes it
	}
	tcp.holding = true
	defer func() { tcp.holding = false }()
	return control.Flush()
}

func (c *tcpConn) Write(p []byte) (n int, err error) {
	if !c.holding {
		return c.TCPConn.Write(p)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) (done bool) {
		for n < len(p) {
			var sent int
			switch sent, sendErr = unix.SendmsgN(int(fd), p[n:], nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL); sendErr {
			case nil:
				n += sent
			case unix.EINTR:
			case unix.EAGAIN: // until the socket takes more, or the deadline is over
				sendErr = nil
				return false
			default:
				return true
			}
		}
		return true
	})
	if err == nil && sendErr != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: sendErr}
	}
	return n, err
}
