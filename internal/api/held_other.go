//go:build !linux

package api

import (
	"context"
	"net"
	"net/http"
)

type tcpConn struct{ *net.TCPConn }

func withTCP(ctx context.Context, _ net.Conn) context.Context { return ctx }

// flushHeld is for Linux: elsewhere net/http writes the header.
func flushHeld(context.Context, *http.ResponseController) error { return nil }
