// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
)

// options are the flags as they were given.
type options struct {
	listenAddress    string
	allowNonLoopback bool
	addressFile      string

	apiKey        string
	apiSecret     string
	apiKeyFile    string
	apiSecretFile string
	namespaces    []string
	tokenLifetime time.Duration

	signFile string
	latency  time.Duration
	admin    bool
	logLevel string
}

// prepare makes everything that can fail before anything listens. The error names all
// problems.
func (o options) prepare(stderr io.Writer) (*program, error) {
	var level slog.Level
	levelErr := level.UnmarshalText([]byte(o.logLevel))
	if levelErr != nil {
		levelErr = fmt.Errorf("--log-level %q is not debug, info, warn or error", o.logLevel)
	}
	var lifetimeErr, latencyErr error
	if o.tokenLifetime <= 0 {
		lifetimeErr = fmt.Errorf("--token-lifetime %v is not more than 0", o.tokenLifetime)
	}
	if o.latency < 0 {
		latencyErr = fmt.Errorf("--latency %v is negative", o.latency)
	}
	key, keyErr := credential("api-key", o.apiKey, o.apiKeyFile)
	secret, secretErr := credential("api-secret", o.apiSecret, o.apiSecretFile)
	signings, signErr := readSignFile(o.signFile, o.namespaces, time.Now())
	problems := errors.Join(levelErr, o.checkAddress(), lifetimeErr, latencyErr, keyErr, secretErr, signErr)

	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	cfg := endortest.Config{
		APIKey:     key,
		APISecret:  secret,
		Namespaces: o.namespaces,
		Log:        log,
		Admin:      o.admin,
	}
	if lifetimeErr == nil {
		cfg.TokenLifetime = o.tokenLifetime
	}
	if keyErr != nil || secretErr != nil {
		cfg.APIKey, cfg.APISecret = "", "" // told already
	}
	emulator, err := endortest.New(cfg)
	if err := errors.Join(problems, err); err != nil {
		return nil, err
	}
	for _, s := range signings {
		if err := s.apply(emulator); err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", o.signFile, s.entry, err)
		}
	}
	if o.latency > 0 {
		if err := emulator.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: o.latency}); err != nil {
			return nil, fmt.Errorf("--latency: %w", err)
		}
	}
	return &program{emulator: emulator, log: log, listenAddress: o.listenAddress, addressFile: o.addressFile}, nil
}

// checkAddress refuses what others could reach, and names that only a resolver
// could tell.
func (o options) checkAddress() error {
	host, _, err := net.SplitHostPort(o.listenAddress)
	if err != nil {
		return fmt.Errorf("--listen-address %q is not host:port", o.listenAddress)
	}
	if o.allowNonLoopback || host == "localhost" {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err != nil || !addr.IsLoopback() {
		return fmt.Errorf("--listen-address %q is not on loopback, and whoever reaches the emulator can sign: "+
			"use 127.0.0.1, or --allow-non-loopback if that is what you want", o.listenAddress)
	}
	return nil
}

// credential is the value of --name or the content of --name-file.
func credential(name, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", fmt.Errorf("--%s and --%s-file exclude each other: give one", name, name)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--%s-file: %w", name, err)
	}
	content := strings.TrimSpace(string(b))
	if content == "" {
		return "", fmt.Errorf("--%s-file %s is empty", name, file)
	}
	return content, nil
}
