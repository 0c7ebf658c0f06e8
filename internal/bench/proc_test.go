package main

import "testing"

func TestParseBusy(t *testing.T) {
	t.Parallel()
	got, err := parseBusy("cpu  100 20 300 4000 500 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
	if err != nil || got != 4.41 {
		t.Errorf("got %v, %v, want 4.41: all but idle and iowait", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8"} {
		if _, err := parseBusy(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseProcessCPU(t *testing.T) {
	t.Parallel()
	got, err := parseProcessCPU("42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 99 1 2")
	if err != nil || got != 3 {
		t.Errorf("got %v, %v, want 3", got, err)
	}
	for _, bad := range []string{"", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y 0"} {
		if _, err := parseProcessCPU(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	got, err := parseMemory("Name:\tmayfly\nVmHWM:\t   65536 kB\nVmRSS:\t   32768 kB\nRssAnon:\t   16384 kB\nRssFile:\t 1 kB\n")
	if want := (memory{Peak: 64 << 20, Resident: 32 << 20, Anon: 16 << 20}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "VmHWM:\t1 kB\nVmRSS:\t1 kB\n", "VmHWM:\t1 kB\nVmRSS:\tx kB\nRssAnon:\t1 kB\n"} {
		if _, err := parseMemory(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseFilesystem(t *testing.T) {
	t.Parallel()
	const mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /mnt/data xfs rw 0 0\noverlay /mnt/data btrfs rw 0 0\n"
	for _, c := range []struct{ path, want string }{
		{"/var/tmp", "ext4"}, {"/tmp/x", "tmpfs"}, {"/tmp", "tmpfs"}, {"/tmpx", "ext4"}, {"/mnt/data/y", "btrfs"},
	} {
		if got := parseFilesystem(mounts, c.path); got != c.want {
			t.Errorf("%s is on %s, want %s", c.path, got, c.want)
		}
	}
	if got := parseFilesystem("", "/"); got != "unknown file system" {
		t.Errorf("got %q", got)
	}
}

func TestParseProcessor(t *testing.T) {
	t.Parallel()
	if got := parseProcessor("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"); got != "AMD EPYC" {
		t.Errorf("got %q", got)
	}
}

func TestParseBenchmarks(t *testing.T) {
	t.Parallel()
	got, err := parseBenchmarks("goos: linux\nBenchmarkSpendShared-2 \t 5000\t 40000 ns/op\t 25000 spends/s\n" +
		"BenchmarkOpen/whole-clients-2         \t     100\t  300.5 ns/op\nPASS\n")
	if err != nil {
		t.Fatal(err)
	}
	if got["SpendShared"]["ns/op"] != 40000 || got["SpendShared"]["spends/s"] != 25000 || got["Open/whole-clients"]["ns/op"] != 300.5 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if _, err := parseBenchmarks("BenchmarkX-2 1 y ns/op\n"); err == nil {
		t.Error("a value that is no number: no error")
	}
}

func TestMachineMemory(t *testing.T) {
	t.Parallel()
	if got, err := parseMachineMemory("MemTotal:       24567890 kB\nMemFree:        1 kB\n"); err != nil || got != 24567890<<10 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseMachineMemory("MemFree: 1 kB\n"); err == nil {
		t.Error("no MemTotal is no error")
	}
}

func TestOwnMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		memory int64
		want   string
	}{{8 << 30, "shared_buffers = 2048MB"}, {64 << 30, "shared_buffers = 4096MB"}} {
		if got := ownMachine(c.memory); got[0] != c.want {
			t.Errorf("of %d bytes: %v", c.memory, got)
		}
	}
}
