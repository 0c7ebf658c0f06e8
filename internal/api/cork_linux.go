package api

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

type socketKey struct{}

// withSocket lets cork find the socket of a connection whose bytes go out as they are
// written: not one with TLS.
func withSocket(ctx context.Context, c net.Conn) context.Context {
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return ctx
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, socketKey{}, raw)
}

// cork keeps the kernel from sending the header, which net/http writes apart, in a packet of
// its own: it goes with the first bytes of the file (tcp(7), TCP_CORK). The client reads
// once where it would be woken twice. Call uncork
// when all is written: the rest is sent then.
func cork(ctx context.Context) (uncork func()) {
	raw, ok := ctx.Value(socketKey{}).(syscall.RawConn)
	if !ok {
		return func() {}
	}
	// An error is of a connection that is closed, or of no TCP: nothing is held back then.
	set := func(on int) {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, on) })
	}
	set(1)
	return func() { set(0) }
}
