//go:build !linux

package postgres

import "net"

// port is a port of 127.0.0.1 that was free a moment ago. It is not held: somebody else
// can take it before the server does.
type port struct{ number int }

func freePort() (*port, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &port{l.Addr().(*net.TCPAddr).Port}, l.Close()
}

func (p *port) release() error { return nil }
