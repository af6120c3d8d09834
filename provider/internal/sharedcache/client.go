// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package sharedcache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// patience is for what no request waits for: connecting, and writing.
	patience = 5 * time.Second

	// connections to the Redis, at most.
	connections = 32

	// idle connections are closed before a load balancer forgets them.
	idle = 4 * time.Minute
)

// parseURL reads raw. Options that go-redis would take from it could undo what
// newClient sets, or turn off that certificates are checked: they are refused.
func parseURL(raw string) (*redis.Options, error) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if err != nil {
		// The error repeats the URL.
		return nil, errors.New("shared cache: the Redis URL is not a URL")
	}
	query := u.Query()
	query.Del("db")
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, errors.New("shared cache: the Redis URL begins with none of redis://, rediss:// and unix://")
	case u.Scheme == "unix" && (u.Host != "" || !strings.HasPrefix(u.Path, "/")):
		return nil, errors.New("shared cache: the Redis URL has no absolute path after unix://")
	case u.Scheme != "unix" && u.Hostname() == "":
		return nil, errors.New("shared cache: the Redis URL has no host")
	case len(query) > 0 || u.Fragment != "":
		return nil, errors.New("shared cache: the Redis URL has options, and takes none but db")
	}
	opt, err := redis.ParseURL(raw)
	if err != nil {
		return nil, errors.New("shared cache: the Redis URL has a database that is not a number, or more after it")
	}
	return opt, nil
}

// newClient makes a client that does what it is told, once: go-redis by itself
// ignores deadlines of contexts, tries again, dials five times and subscribes to
// notices of maintenance.
func newClient(ended context.Context, server *redis.Options, roots *x509.CertPool) *redis.Client {
	// It writes to the process's stderr by itself. What matters is counted and
	// logged here.
	logging.Disable()
	opt := *server
	opt.Dialer = dialer(ended, server.TLSConfig, roots)
	opt.TLSConfig = nil
	opt.Protocol = 2                 // nothing is sent that was not asked for
	opt.ContextTimeoutEnabled = true // each call has a context that ends, and no other limit
	opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = -1, -1, time.Hour
	opt.DialTimeout = patience
	opt.MaxRetries = -1
	opt.DialerRetries = 1
	opt.PoolSize = connections
	opt.PipelinePoolSize = -1 // there is one writer
	opt.ConnMaxIdleTime = idle
	opt.DisableIdentity = true // one round trip less, and one command less to be allowed
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(&opt)
}

// dialer connects until ended ends. secure is nil without TLS.
func dialer(ended context.Context, secure *tls.Config, roots *x509.CertPool) func(context.Context, string, string) (net.Conn, error) {
	var d interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = &net.Dialer{}
	if secure != nil {
		secure = secure.Clone()
		secure.RootCAs = roots
		d = &tls.Dialer{Config: secure}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ended, cancel)()
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return bound(conn), nil
	}
}

// errReply says that the Redis broke its protocol, or a bound of ours.
var errReply = errors.New("an unexpected reply")

// describe says in a few words what is wrong, without the names and addresses
// that errors of the network hold.
func describe(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted"
	}
	if e, ok := errors.AsType[redis.Error](err); ok {
		word, _, _ := strings.Cut(e.Error(), " ")
		if word != "" && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			return "it answers " + word
		}
		return "it answers with an error"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "its name cannot be resolved"
	}
	if e, ok := errors.AsType[net.Error](err); (ok && e.Timeout()) || errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time"
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	if errors.Is(err, errReply) {
		return "its reply is too long or not one of a Redis"
	}
	return "the connection fails"
}
