package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"mayfly/internal/testenv/child"
)

// startTime is how long a replica may take until it is ready.
const startTime = time.Minute

// process is a replica's process.
type process struct {
	cmd   *exec.Cmd
	at    string // its URL
	log   string
	ended chan struct{} // closed when it has ended
	err   error         // how; valid then
}

// startProcess starts a server that logs to a file, and returns when it is ready. A
// port that was free a moment ago can be taken by then, so a server that ends at once
// gets another one.
func startProcess(ctx context.Context, log string, command func(address string) *exec.Cmd) (p *process, err error) {
	for range 3 {
		if p, err = launch(log, command); err != nil {
			return nil, err
		}
		if err = p.ready(ctx); err == nil {
			return p, nil
		}
		p.kill()
	}
	return nil, err
}

func launch(log string, command func(address string) *exec.Cmd) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{cmd: command(address), at: "http://" + address, log: log, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	child.DieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready returns when the server says that it is, or has ended.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := p.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return p.failed("ended before it was ready")
		case <-ctx.Done():
			return p.failed(fmt.Sprintf("is not ready: %v", err))
		case <-again.C:
		}
	}
}

func (p *process) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.at+"/readyz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// kill is kill -9. It returns when the process has ended, and fails if it had before:
// then it was not us who ended it.
func (p *process) kill() error {
	select {
	case <-p.ended:
		return p.failed("ended by itself")
	default:
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return p.failed("ended by itself")
	}
	return err
}

// failed is an error with the end of the log.
func (p *process) failed(how string) error {
	select {
	case <-p.ended:
		how += fmt.Sprintf(" (%s)", p.cmd.ProcessState)
	default:
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		return errors.Join(fmt.Errorf("a replica %s", how), err)
	}
	return fmt.Errorf("a replica %s. The end of its log:\n%s", how, child.LastLines(text))
}
