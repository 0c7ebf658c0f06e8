//go:build !linux

package fsblob

import "os"

// startWriteback is advice that only Linux takes.
func startWriteback(*os.File, int64, int64) {}
