// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
)

// own are the clusters of single tests, for the case that the whole process
// ends before they do.
var own struct {
	sync.Mutex
	clusters []*localcluster.Cluster
	others   []func() error // end what else runs
	ended    bool
}

// ownCluster starts a cluster that is the test's alone. Its state is in
// .cache/cluster/e2e-NAME, and it ends with the test.
func ownCluster(tb testing.TB, name string, adjust func(*localcluster.Config)) *localcluster.Cluster {
	tb.Helper()
	cfg := config
	cfg.Dir, cfg.Progress = filepath.Join(filepath.Dir(config.Dir), "e2e-"+name), nil
	adjust(&cfg)
	c, err := startOwn(tb, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func startOwn(tb testing.TB, cfg localcluster.Config) (*localcluster.Cluster, error) {
	own.Lock()
	defer own.Unlock()
	if own.ended {
		return nil, errors.New("the tests end")
	}
	c, err := localcluster.Start(tb.Context(), cfg)
	if err == nil {
		own.clusters = append(own.clusters, c)
	}
	return c, err
}

// endLater has end called when the process ends, should the test not have done
// what it does by then.
func endLater(end func() error) {
	own.Lock()
	defer own.Unlock()
	own.others = append(own.others, end)
}

// stopOwn ends the clusters of all tests, and lets no other start.
func stopOwn() error {
	own.Lock()
	defer own.Unlock()
	own.ended = true
	var errs []error
	for _, c := range own.clusters {
		errs = append(errs, c.Stop())
	}
	for _, end := range own.others {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
