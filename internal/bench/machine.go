package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine is where the figures were taken.
type machine struct {
	Cores      int    `json:"cores"`
	Processor  string `json:"processor"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Filesystem string `json:"filesystem"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), Linux %s, %s, %s", m.Cores, m.Processor, m.Kernel, m.Go, m.Filesystem)
}

// InMemory reports whether the file system keeps nothing.
func (m machine) InMemory() bool { return m.Filesystem == "tmpfs" || m.Filesystem == "ramfs" }

// describeMachine describes this machine and the file system that dir is on.
func describeMachine(dir string) machine {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	return machine{
		Cores:      runtime.NumCPU(),
		Processor:  parseProcessor(read("/proc/cpuinfo")),
		Kernel:     read("/proc/sys/kernel/osrelease"),
		Go:         runtime.Version(),
		Filesystem: parseFilesystem(read("/proc/self/mounts"), dir),
	}
}

// parseProcessor reads the model's name from /proc/cpuinfo.
func parseProcessor(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// parseFilesystem reads the type of the file system that path is on from
// /proc/self/mounts: that of the longest mount point above it, and of those with
// the same the last, which hides the others.
func parseFilesystem(mounts, path string) string {
	filesystem, longest := "unknown file system", 0
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := strings.TrimSuffix(fields[1], "/") + "/"
		if strings.HasPrefix(path+"/", point) && len(point) >= longest {
			filesystem, longest = fields[2], len(point)
		}
	}
	return filesystem
}
