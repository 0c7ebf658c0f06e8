package postgres

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// port is a port of 127.0.0.1 that is held for the server. The kernel lets two sockets
// with SO_REUSEADDR have one port for as long as no more than one of them listens, and
// gives a port that a socket is bound to to nobody who asks for any free one. So nobody
// takes it before the server listens, nor while it is down.
type port struct {
	number int
	socket int
}

func freePort() (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &port{socket: socket}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt", err), p.release())
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), p.release())
	}
	at, err := unix.Getsockname(socket)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("getsockname", err), p.release())
	}
	p.number = at.(*unix.SockaddrInet4).Port
	return p, nil
}

func (p *port) release() error {
	return os.NewSyscallError("close", unix.Close(p.socket))
}
