package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) Run(t terminal) error {
	_, err := fmt.Fprintln(t.Out, "mayfly", version(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return err
}

// version is what the build says of itself: the module's version if it was
// installed by one, the commit if it was built in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
