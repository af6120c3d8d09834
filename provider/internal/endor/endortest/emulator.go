// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Credentials and namespace of an Emulator whose Config names none.
const (
	DefaultAPIKey    = "endr+emulator-key"
	DefaultAPISecret = "endr+emulator-secret"
	DefaultNamespace = "acme"
)

// DefaultTokenLifetime is the documented length of an API key's session.
const DefaultTokenLifetime = 4 * time.Hour

// Config configures an Emulator. The zero value is usable.
type Config struct {
	// APIKey and APISecret are the pair that may be exchanged for a token.
	// Default: DefaultAPIKey and DefaultAPISecret. One without the other is an error.
	APIKey    string
	APISecret string

	// Namespaces are the fully qualified namespaces the key may use; others, children
	// included, are HTTP 403. Default: DefaultNamespace alone.
	Namespaces []string

	// TokenLifetime is how long a token is accepted. Default: DefaultTokenLifetime.
	TokenLifetime time.Duration

	// Now is the clock of tokens, certificates, timestamps and the header Date.
	// Latency is always real time. Default: time.Now.
	Now func() time.Time

	// Log receives one record per request, without credentials. Default: none.
	Log *slog.Logger

	// Admin serves the switches, counters and damages under /emulator/ to whoever asks,
	// without authentication. Default: they are Go methods only.
	Admin bool
}

// namespaceSyntax is Endor's: dotted segments of at most 32 characters.
var namespaceSyntax = regexp.MustCompile(`^[a-z0-9_-]{1,32}(\.[a-z0-9_-]{1,32})*$`)

func (c Config) withDefaults() Config {
	if c.APIKey == "" && c.APISecret == "" {
		c.APIKey, c.APISecret = DefaultAPIKey, DefaultAPISecret
	}
	if len(c.Namespaces) == 0 {
		c.Namespaces = []string{DefaultNamespace}
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if (c.APIKey == "") != (c.APISecret == "") {
		errs = append(errs, errors.New("API key and API secret belong together: give both or neither"))
	}
	for _, ns := range c.Namespaces {
		if !namespaceSyntax.MatchString(ns) {
			errs = append(errs, fmt.Errorf("namespace %q is not dotted segments of 1 to 32 of [a-z0-9_-]", ns))
		}
	}
	if c.TokenLifetime < 0 {
		errs = append(errs, fmt.Errorf("token lifetime %v is negative", c.TokenLifetime))
	}
	return errors.Join(errs...)
}

// Emulator answers as the Endor Labs API does. Make one with [New] or [Start].
// All methods may be called concurrently, also while it serves.
type Emulator struct {
	now     func() time.Time
	log     *slog.Logger
	handler http.Handler

	ca         *authority // the one VERIFY trusts
	strangerCA *authority // same names, another key: for damages only

	auth     *sessions
	store    *store
	faults   *faults
	counters *counters

	defaultNamespace string
	defaultLifetime  time.Duration
}

// New makes an Emulator that has signed nothing. Its errors are all problems of
// the configuration at once.
func New(cfg Config) (*Emulator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ca, err := newAuthority(cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	stranger, err := newAuthority(cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority nobody trusts: %w", err)
	}
	e := &Emulator{
		now:        cfg.Now,
		log:        cfg.Log,
		ca:         ca,
		strangerCA: stranger,
		auth: &sessions{
			now:         cfg.Now,
			key:         cfg.APIKey,
			secret:      cfg.APISecret,
			namespaces:  slices.Clone(cfg.Namespaces),
			lifetime:    cfg.TokenLifetime,
			expiryField: ExpiryCamelCase,
			expires:     map[string]time.Time{},
			permissions: Permissions{Roles: []string{CodeScanner}},
		},
		store:            &store{byName: map[storeKey]map[string][]record{}},
		faults:           newFaults(),
		counters:         newCounters(),
		defaultNamespace: cfg.Namespaces[0],
		defaultLifetime:  cfg.TokenLifetime,
	}
	e.handler = e.routes(cfg.Admin)
	return e, nil
}

// Handler serves the API.
func (e *Emulator) Handler() http.Handler { return e.handler }

// Close ends every latency and hang, so that a server can shut down. The Emulator
// serves on, without faults.
func (e *Emulator) Close() { e.faults.replace(nil) }
