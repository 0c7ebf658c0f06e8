package fsblob

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var gmu sync.Mutex
var gs = map[string]*zgroup{}

type zgroup struct {
	mu            sync.Mutex
	cond          *sync.Cond
	started, done int64
	running       bool
	f             *os.File
}

func (g *zgroup) sync() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	want := g.started + 1
	for g.done < want {
		if g.running {
			g.cond.Wait()
			continue
		}
		g.running = true
		g.started++
		s := g.started
		g.mu.Unlock()
		err := g.f.Sync()
		g.mu.Lock()
		if err != nil {
			panic(err)
		}
		g.running = false
		g.done = s
		g.cond.Broadcast()
	}
	return nil
}

func ios() (w, fl float64) {
	d, _ := os.ReadFile("/proc/diskstats")
	for l := range strings.Lines(string(d)) {
		f := strings.Fields(l)
		if f[2] == "vda" {
			w, _ = strconv.ParseFloat(f[7], 64)
			fl, _ = strconv.ParseFloat(f[18], 64)
		}
	}
	return
}

func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func BenchmarkZExp(b *testing.B) {
	clients, _ := strconv.Atoi(os.Getenv("C"))
	const puts = 400
	body := make([]byte, 64<<10)
	rand.Read(body)
	type variant struct {
		name string
		put  func() error
	}
	var vs []variant
	fan := func(n int) func(k string) string {
		d := benchDir(b)
		for i := range n {
			os.Mkdir(fmt.Sprintf("%s/%02x", d, i), 0700)
		}
		return func(k string) string {
			v, _ := strconv.ParseInt(k[len(k)-2:], 16, 32)
			return fmt.Sprintf("%s/%02x", d, int(v)%n)
		}
	}
	raw := func(kind string, n int) variant {
		dirOf := fan(n)
		var mu sync.Mutex
		_ = &mu
		return variant{fmt.Sprintf("%s/%d", kind, n), func() error {
			k := string(newKey())
			dir := dirOf(k)
			tmp := filepath.Join(dir, k+".tmp")
			dst := filepath.Join(dir, k)
			var f *os.File
			var err error
			if kind == "tmpfile" {
				f, err = os.OpenFile(dir, os.O_WRONLY|unix.O_TMPFILE, 0600)
			} else {
				f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0600)
			}
			if err != nil {
				return err
			}
			defer f.Close()
			if strings.HasPrefix(kind, "falloc") {
				unix.Fallocate(int(f.Fd()), 0, 0, int64(len(body)))
			}
			f.Write(body)
			if kind == "fdata" {
				err = unix.Fdatasync(int(f.Fd()))
			} else {
				err = f.Sync()
			}
			if err != nil {
				return err
			}
			switch kind {
			case "link":
				err = os.Link(tmp, dst)
				os.Remove(tmp)
			case "tmpfile":
				err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, dst, unix.AT_SYMLINK_FOLLOW)
			default:
				err = os.Rename(tmp, dst)
			}
			if err != nil {
				return err
			}
			if strings.HasSuffix(kind, "-g") {
				gmu.Lock()
				g := gs[dir]
				if g == nil {
					d, err := os.Open(dir)
					if err != nil {
						return err
					}
					g = &zgroup{f: d}
					g.cond = sync.NewCond(&g.mu)
					gs[dir] = g
				}
				gmu.Unlock()
				return g.sync()
			}
			d, err := os.Open(dir)
			if err != nil {
				return err
			}
			defer d.Close()
			return d.Sync()
		}}
	}
	for _, v := range strings.Fields(os.Getenv("V")) {
		kind, n, _ := strings.Cut(v, "/")
		nn, _ := strconv.Atoi(n)
		if kind == "cached" || kind == "cachedlink" || kind=="rootopen" || kind == "cachedcopy" || kind=="rootdirs" {
			base := benchDir(b)
			root, _ := os.OpenRoot(base)
			type fd struct { r *os.Root; d *os.File }
			m := map[string]fd{}
			for i := range 256 {
				n := fmt.Sprintf("%02x", i)
				root.Mkdir(n, 0700)
				r, _ := root.OpenRoot(n)
				d, _ := r.Open(".")
				m[n] = fd{r, d}
			}
			vs = append(vs, variant{v, func() error {
				k := string(newKey())
				n := k[len(k)-2:]
				x := m[n]
				if kind == "rootopen" || kind == "rootdirs" {
					r, err := root.OpenRoot(n)
					if err != nil { return err }
					defer r.Close()
					x.r = r
				}
				f, err := x.r.OpenFile(k+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0600)
				if err != nil { return err }
				if kind == "cachedcopy" {
					buf := buffers.Get().(*[bufferSize]byte)
					copy(buf[:], body)
					f.Write(buf[:len(body)])
					buffers.Put(buf)
				} else {
					f.Write(body)
				}
				if err := f.Sync(); err != nil { return err }
				f.Close()
				if kind != "cached" {
					if err := x.r.Link(k+".part", k); err != nil { return err }
					if err := x.r.Remove(k+".part"); err != nil { return err }
				} else {
					if err := x.r.Rename(k+".part", k); err != nil { return err }
				}
				if kind == "rootdirs" {
					d, err := x.r.Open(".")
					if err != nil { return err }
					defer d.Close()
					return d.Sync()
				}
				return x.d.Sync()
			}})
			continue
		}
		if kind == "ours" {
			s := open(b, benchDir(b))
			vs = append(vs, variant{v, func() error {
				return s.Put(b.Context(), newKey(), bytes.NewReader(body), 64<<10)
			}})
			continue
		}
		vs = append(vs, raw(kind, nn))
	}
	took := map[string][]float64{}
	cpus := map[string][]float64{}
	wr := map[string][]float64{}
	fl := map[string][]float64{}
	for i := 0; b.Loop(); i++ {
		for j := range vs {
			v := vs[(i+j)%len(vs)]
			w0, f0 := ios()
			c0, t0 := cpu(), time.Now()
			many(b, clients, puts, v.put)
			took[v.name] = append(took[v.name], time.Since(t0).Seconds())
			cpus[v.name] = append(cpus[v.name], cpu()-c0)
			w1, f1 := ios()
			wr[v.name] = append(wr[v.name], w1-w0)
			fl[v.name] = append(fl[v.name], f1-f0)
		}
	}
	base := vs[0].name
	for _, v := range vs {
		var r []float64
		for i, x := range took[v.name] {
			r = append(r, took[base][i]/x)
		}
		sort.Float64s(r)
		fmt.Printf("  %s c=%d %-12s %6.0f/s  ratio q1 %.2f med %.2f q3 %.2f  cpu/put %.0fus writes %.1f flushes %.1f\n", os.Getenv("BENCH_DIR"), clients, v.name, puts/median(took[v.name]), r[len(r)/4], r[len(r)/2], r[len(r)*3/4], median(cpus[v.name])/puts*1e6, median(wr[v.name])/puts, median(fl[v.name])/puts)
	}
}
