//go:build !linux

package api

import (
	"context"
	"net"
)

func withSocket(ctx context.Context, _ net.Conn) context.Context { return ctx }

// cork is for Linux: elsewhere the header is sent first.
func cork(context.Context) (uncork func()) { return func() {} }
