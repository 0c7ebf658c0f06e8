package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mayfly/expiry"
	"mayfly/internal/api"
)

// databaseFlag is for commands that need the rows alone.
type databaseFlag struct {
	Database string `env:"MAYFLY_DATABASE" default:"sqlite://mayfly-data/mayfly.db" placeholder:"URL" help:"Where the rows are: sqlite://PATH (${default}), or postgres://USER:PASSWORD@HOST/DATABASE for several replicas."`
}

// storeFlags say where the rows and the bytes are. Every command that works on
// them itself has them, so that they are named once.
type storeFlags struct {
	databaseFlag `embed:""`
	Evidence     string `env:"MAYFLY_EVIDENCE" placeholder:"URL" help:"Where the evidence of reports is, as --blobs; a folder or prefix named evidence beside those if not set."`
	Blobs        string `env:"MAYFLY_BLOBS" default:"file://mayfly-data/blobs" placeholder:"URL" help:"Where the encrypted bytes are: file://PATH, minio://HOST:PORT/BUCKET[/PREFIX] or s3://BUCKET[/PREFIX]?region=REGION (${default}). Keys of a bucket: MAYFLY_S3_ACCESS_KEY and MAYFLY_S3_SECRET_KEY, else those of the environment or the machine."`
}

// serveFlags configure the server. Durations and counts are text here, so that all
// faults of a configuration can be told at once.
type serveFlags struct {
	storeFlags   `embed:""`
	erasureFlags `embed:""`

	moderationFlags `embed:""`

	Listen      string `env:"MAYFLY_LISTEN" default:"127.0.0.1:8484" placeholder:"ADDR" help:"Where the API listens (${default})."`
	Admin       string `env:"MAYFLY_ADMIN" default:"127.0.0.1:8485" placeholder:"ADDR" help:"Where /metrics listens, 'off' for nowhere (${default})."`
	TLSCert     string `name:"tls-cert" env:"MAYFLY_TLS_CERT" placeholder:"FILE" help:"Certificate chain (PEM). With --tls-key the API speaks HTTPS."`
	TLSKey      string `name:"tls-key" env:"MAYFLY_TLS_KEY" placeholder:"FILE" help:"Private key (PEM) of --tls-cert."`
	BehindProxy bool   `env:"MAYFLY_BEHIND_PROXY" help:"A proxy in front ends TLS: listen beyond loopback without it, and believe X-Forwarded-For and -Proto."`
	PublicURL   string `name:"public-url" env:"MAYFLY_PUBLIC_URL" placeholder:"URL" help:"How clients reach the API, for upload addresses; taken from each request if not set."`

	DirectUploads  bool   `env:"MAYFLY_DIRECT_UPLOADS" help:"Let clients bring announced bytes straight to the bucket, by presigned PUT. Needs a store that can presign: minio://."`
	DirectEndpoint string `env:"MAYFLY_DIRECT_ENDPOINT" placeholder:"URL" help:"With --direct-uploads: how clients reach the S3 server, as https://s3.example.org; as Mayfly does if not set."`

	PurgeSchedule string `env:"MAYFLY_PURGE_SCHEDULE" default:"@every 1m" placeholder:"CRON" help:"When to delete what is due: five cron fields or @every, in UTC ('${default}')."`
	SweepSchedule string `env:"MAYFLY_SWEEP_SCHEDULE" default:"17 3 * * *" placeholder:"CRON" help:"When to remove what has no owner ('${default}')."`

	RatePerAddress string `env:"MAYFLY_RATE_PER_ADDRESS" default:"6000" placeholder:"N" help:"Requests per minute from one address, 0 for no limit (${default})."`
	RatePerToken   string `env:"MAYFLY_RATE_PER_TOKEN" default:"600000" placeholder:"N" help:"Requests per minute with one token, 0 for no limit (${default})."`
	MaxConnections string `env:"MAYFLY_MAX_CONNECTIONS" default:"4096" placeholder:"N" help:"Connections at a time; more wait (${default})."`
	DrainTimeout   string `env:"MAYFLY_DRAIN_TIMEOUT" default:"30s" placeholder:"DURATION" help:"How long transfers may go on after SIGTERM (${default})."`

	LogFormat string `env:"MAYFLY_LOG_FORMAT" default:"text" placeholder:"text|json" help:"Form of the log on stderr (${default})."`
	LogLevel  string `env:"MAYFLY_LOG_LEVEL" default:"info" placeholder:"debug|info|warn|error" help:"Least level that is logged (${default})."`
}

// serveConfig is what serveFlags mean.
type serveConfig struct {
	ratePerAddress, ratePerToken, maxConnections int
	drainTimeout                                 time.Duration
	publicURL                                    string
	directEndpoint                               *url.URL
	moderation                                   moderationConfig
}

// limits are the API's, where a negative number means none and 0 the default.
func (c serveConfig) limits() api.Limits {
	l := api.Limits{PerAddress: c.ratePerAddress, PerToken: c.ratePerToken, Connections: c.maxConnections}
	if l.PerAddress == 0 {
		l.PerAddress, l.FailuresPerAddress = -1, -1
	}
	if l.PerToken == 0 {
		l.PerToken = -1
	}
	return l
}

// parse tells all faults of the flags at once.
func (f serveFlags) parse() (serveConfig, error) {
	var c serveConfig
	var faults []error
	fault := func(flag string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	fault("listen", f.checkListen())
	if f.Admin != "off" {
		fault("admin", checkAddress(f.Admin))
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		fault("tls-cert", errors.New("--tls-cert and --tls-key go together"))
	}
	if f.PublicURL != "" {
		u, err := url.Parse(f.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			fault("public-url", fmt.Errorf("%q is not like https://media.example.org", f.PublicURL))
		}
		c.publicURL = f.PublicURL
	}
	if f.DirectEndpoint != "" {
		u, err := url.Parse(f.DirectEndpoint)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
			fault("direct-endpoint", fmt.Errorf("%q is not like https://s3.example.org", redactedURL(f.DirectEndpoint)))
		case !f.DirectUploads:
			fault("direct-endpoint", errors.New("it means nothing without --direct-uploads"))
		}
		c.directEndpoint = u
	}
	c.ratePerAddress = parseCount(f.RatePerAddress, 0, "rate-per-address", fault)
	c.ratePerToken = parseCount(f.RatePerToken, 0, "rate-per-token", fault)
	c.maxConnections = parseCount(f.MaxConnections, 1, "max-connections", fault)
	d, err := time.ParseDuration(f.DrainTimeout)
	if err != nil || d < 0 {
		fault("drain-timeout", fmt.Errorf("%q is not a duration like 30s or 2m", f.DrainTimeout))
	}
	c.drainTimeout = d
	fault("database", checkDatabase(f.Database))
	fault("blobs", checkBlobs(f.Blobs))
	fault("evidence", f.checkEvidence())
	c.moderation = f.moderationFlags.parse(fault)
	_, err = expiry.NewSchedule(nil,
		expiry.Job{Name: purgeJob, Spec: f.PurgeSchedule}, expiry.Job{Name: sweepJob, Spec: f.SweepSchedule})
	faults = append(faults, err)
	_, _, err = newLogger(nil, f.LogFormat, f.LogLevel)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return serveConfig{}, usageError{err}
	}
	return c, nil
}

// checkListen refuses to let tokens cross a network in the clear (P8).
func (f serveFlags) checkListen() error {
	if err := checkAddress(f.Listen); err != nil {
		return err
	}
	if f.TLSCert != "" || f.BehindProxy || onLoopback(f.Listen) {
		return nil
	}
	return fmt.Errorf("%s is beyond loopback, where tokens would cross the network in the clear: "+
		"give --tls-cert and --tls-key, or --behind-proxy if a proxy in front ends TLS", f.Listen)
}

func checkAddress(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%q is not like 127.0.0.1:8484", address)
	}
	return nil
}

// onLoopback reports whether only this machine can reach the address.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func parseCount(text string, least int, flag string, fault func(string, error)) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		fault(flag, fmt.Errorf("%q is not a whole number from %d", text, least))
	}
	return n
}
