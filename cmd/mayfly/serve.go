package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/api"
	"mayfly/internal/collector"
)

type serveCmd struct {
	serveFlags `embed:""`
}

// contestInterval is how often counted contests are written.
const contestInterval = time.Second

// Run is the server: open, build, listen, run, drain, close.
func (c *serveCmd) Run(ctx context.Context, t terminal) (err error) {
	cfg, err := c.parse()
	if err != nil {
		return err
	}
	log, closeLog, err := newLogger(t.Err, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	defer collector.Spare()()
	useProcessors()

	s, err := openService(ctx, c.storeFlags, log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.firstKey(ctx, c.Database); err != nil {
		return err
	}
	if err := s.signReceipts(c.erasureFlags, c.Database); err != nil {
		return err
	}
	if err := s.moderate(ctx, c.moderationFlags, cfg.moderation, c.Database); err != nil {
		return err
	}
	if c.DirectUploads {
		if err := s.allowDirect(ctx, c.Blobs, cfg.directEndpoint); err != nil {
			return err
		}
	}
	schedule, err := s.schedule(c.PurgeSchedule, c.SweepSchedule)
	if err != nil {
		return usageError{err}
	}
	s.api.PublicURL, s.api.BehindProxy, s.api.Limits = cfg.publicURL, c.BehindProxy, cfg.limits()
	handler, err := s.api.Handler()
	if err != nil {
		return err
	}
	public := s.api.HTTPServer(handler)
	listener, err := c.listen(ctx, s.api)
	if err != nil {
		return err
	}
	admin, adminListener, err := c.listenAdmin(ctx, s)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	evidence, err := c.evidenceURL()
	if err != nil {
		return err
	}
	adminAddress := c.Admin
	if admin != nil {
		adminAddress = adminListener.Addr().String()
	}
	log.Info("mayfly serves", "version", version(), "listen", listener.Addr().String(), "tls", c.TLSCert != "",
		"admin", adminAddress, "database", redactedURL(c.Database), "blobs", redactedURL(c.Blobs), "evidence", redactedURL(evidence))
	tellPlans(log, schedule)

	// The group's context ends with the first part that fails, or with the signal.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveOn(public, listener) })
	if admin != nil {
		group.Go(func() error { return serveOn(admin, adminListener) })
	}
	group.Go(func() error { return s.flushContests(ctx) })
	group.Go(func() error { s.reports.Run(ctx, s.copied); return nil })
	schedule.Start(ctx)
	group.Go(func() error {
		<-ctx.Done()
		log.Info("draining", "timeout", cfg.drainTimeout)
		s.api.Drain()
		drained, cancel := context.WithTimeout(context.Background(), cfg.drainTimeout)
		defer cancel()
		// The metrics stay up for as long as there is something to see.
		err := errors.Join(shutdown(drained, public), schedule.Stop(drained))
		if admin != nil {
			err = errors.Join(err, admin.Close())
		}
		return err
	})
	err = group.Wait()
	log.Info("mayfly has stopped")
	return err
}

// listen opens the API's address, with TLS if there is a certificate.
func (c *serveCmd) listen(ctx context.Context, s *api.Server) (net.Listener, error) {
	var certificate tls.Certificate
	if c.TLSCert != "" {
		var err error
		if certificate, err = tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	l = s.Limit(l)
	if c.TLSCert != "" {
		l = tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{certificate},
			NextProtos:   []string{"h2", "http/1.1"},
			MinVersion:   tls.VersionTLS12,
		})
	}
	return l, nil
}

// listenAdmin opens the address of the metrics; nil if it is off.
func (c *serveCmd) listenAdmin(ctx context.Context, s *service) (*http.Server, net.Listener, error) {
	if c.Admin == "off" {
		return nil, nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Admin)
	if err != nil {
		return nil, nil, fmt.Errorf("--admin: %w", err)
	}
	router := chi.NewRouter()
	router.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.metrics.Gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return &http.Server{
		Handler:           router,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
	}, l, nil
}

func serveOn(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown lets what is under way finish, and cuts it when ctx ends.
func shutdown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(errors.New("transfers were cut: they outlasted --drain-timeout"), server.Close())
	}
	return err
}

// flushContests writes what was counted, and the last of it at the end.
func (s *service) flushContests(ctx context.Context) error {
	ticks := time.NewTicker(contestInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if err := s.tickets.FlushContests(ctx); err != nil {
				s.log.Warn("contests are counted later", "error", err)
			}
		case <-ctx.Done():
			return s.tickets.FlushContests(context.WithoutCancel(ctx))
		}
	}
}
