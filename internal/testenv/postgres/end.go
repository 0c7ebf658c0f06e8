package postgres

import (
	"context"
	"errors"
	"os"
	"time"
)

// Crash kills all of the server's processes, at one moment and with no chance to say or
// write anything: see the package's second sentence. It stays down until Restart.
func (s *Server) Crash() error {
	if s.running == nil {
		return errors.New("PostgreSQL is down already: Restart it before it can crash")
	}
	select {
	case <-s.running.ended:
		return s.failed("has ended by itself before it was to crash")
	default:
		return s.kill()
	}
}

// Restart starts the server again, at the same URL and on the same data, and returns
// when it answers. One that runs is shut down before; one that has ended by itself is an
// error, and stays down.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.shutDown(); err != nil {
		return err
	}
	return s.launch(ctx)
}

// Stop ends the server and removes its folder. That it had ended by itself before is an
// error, for then something has run without it. A second Stop does nothing.
func (s *Server) Stop() error {
	if s.port == nil {
		return nil
	}
	err := errors.Join(s.shutDown(), s.port.release(), os.RemoveAll(s.folder))
	s.port = nil
	return err
}

// shutDown ends the server: PostgreSQL's fast shutdown, and a crash if that does not do.
func (s *Server) shutDown() error {
	if s.running == nil {
		return nil
	}
	p := s.running
	select {
	case <-p.ended:
		return s.lost()
	default:
	}
	_ = p.cmd.Process.Signal(os.Interrupt) // if it ends right now, its exit code tells
	select {
	case <-p.ended:
		if !p.cmd.ProcessState.Success() {
			return s.lost()
		}
		s.running = nil
		return nil
	case <-time.After(stopTime):
		return s.kill()
	}
}

// lost takes leave of a server that has ended by itself.
func (s *Server) lost() error {
	err := s.failed("has ended while it was needed")
	s.running = nil
	return errors.Join(err, forgetSharedMemory(s.data(), s.as))
}

// kill ends all processes of the server at once.
func (s *Server) kill() error {
	p := s.running
	s.running = nil
	select {
	case <-p.ended:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	f, err := freeze(ctx, p.cmd.Process)
	if err == nil {
		err = f.kill(ctx)
	}
	if err != nil {
		_ = p.cmd.Process.Kill() // its children see that, and end
	}
	<-p.ended
	return errors.Join(err, forgetSharedMemory(s.data(), s.as))
}
