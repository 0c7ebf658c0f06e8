package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, in which Linux counts processor time for programs:
// the same on every architecture that Go runs on.
const ticksPerSecond = 100

// cpuTimes are seconds of processor time since some moment.
type cpuTimes struct{ server, others float64 }

// readCPU reads what the server took so far, nothing if it is nil, and what
// everything took that is none of our processes: other programs, MinIO too, other
// machines on the same host, and also the kernel's own threads, which write to the
// disk for us.
func (s *servers) readCPU(server *process) (cpuTimes, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, err
	}
	others, err := parseBusy(string(text))
	if err != nil {
		return cpuTimes{}, err
	}
	var c cpuTimes
	pids := []int{os.Getpid()}
	for _, p := range s.running() {
		pids = append(pids, p.pid())
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return cpuTimes{}, err
		}
		own, err := parseProcessCPU(string(text))
		if err != nil {
			return cpuTimes{}, err
		}
		if server != nil && pid == server.pid() {
			c.server = own
		}
		others -= own
	}
	c.others = others
	return c, nil
}

// parseBusy reads from /proc/stat for how many seconds all processors together
// were not idle (proc_stat(5)).
func parseBusy(stat string) (float64, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var ticks float64
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return ticks / ticksPerSecond, nil
}

// parseProcessCPU reads the processor time of a process, in seconds, from its
// stat file (proc_pid_stat(5)).
func parseProcessCPU(stat string) (float64, error) {
	// The name stands in parentheses and may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("a process's stat file has %d fields behind the name", len(fields))
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond, err
}

// machineMemory is what the machine has, in bytes.
func machineMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return parseMachineMemory(string(text))
}

// parseMachineMemory reads MemTotal from /proc/meminfo (proc_meminfo(5)).
func parseMachineMemory(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo has no MemTotal")
}

// memory is what a process holds of the machine's memory, in bytes.
type memory struct {
	// Peak is the most that was ever resident (VmHWM), since it was last reset.
	Peak int64
	// Resident is what is so now (VmRSS): Anon, the memory that it allocated, and
	// the pages of files, which are mostly its own program.
	Resident, Anon int64
}

func readMemory(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(string(text))
}

// parseMemory reads a process's status file (proc_pid_status(5)).
func parseMemory(status string) (memory, error) {
	var m memory
	found := 0
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		var to *int64
		switch name {
		case "VmHWM":
			to = &m.Peak
		case "VmRSS":
			to = &m.Resident
		case "RssAnon":
			to = &m.Anon
		default:
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("%s: %w", name, err)
		}
		*to = n << 10
		found++
	}
	if found != 3 {
		return memory{}, fmt.Errorf("a process's status file has %d of VmHWM, VmRSS and RssAnon", found)
	}
	return m, nil
}

// resetPeak makes the kernel forget the most that was resident until now
// (proc_pid_clear_refs(5)).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// watchMemory looks at a process until stop is called, which returns the most of
// each. The kernel keeps the peak itself; of Anon it is the most that was seen.
func watchMemory(pid int) (stop func() (memory, error)) {
	type result struct {
		most memory
		err  error
	}
	quit, done := make(chan struct{}), make(chan result, 1)
	go func() {
		var r result
		for {
			m, err := readMemory(pid)
			if err != nil {
				r.err = err
			}
			r.most.Peak = max(r.most.Peak, m.Peak)
			r.most.Resident = max(r.most.Resident, m.Resident)
			r.most.Anon = max(r.most.Anon, m.Anon)
			select {
			case <-quit:
				done <- r
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() (memory, error) {
		close(quit)
		r := <-done
		return r.most, r.err
	}
}
