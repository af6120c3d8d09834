// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// source is what is released.
type source struct {
	root     string    // folder of the repository, absolute
	version  string    // such as v1.2.3
	revision string    // commit
	time     time.Time // of the commit, and of all files that are made
}

// readSource reads what is checked out in root. The time is that of the commit,
// or SOURCE_DATE_EPOCH where that is set, which is what others call it.
func readSource(ctx context.Context, root, version string, dirty bool) (source, error) {
	if err := checkVersion(version); err != nil {
		return source{}, err
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return source{}, err
	}
	src := source{root: root, version: version}
	if src.revision, err = git(ctx, root, "rev-parse", "HEAD"); err != nil {
		return source{}, err
	}
	changes, err := git(ctx, root, "status", "--porcelain")
	switch {
	case err != nil:
		return source{}, err
	case changes != "" && !dirty:
		return source{}, fmt.Errorf("what is checked out is not %s, as it should say: commit or stash these changes:\n%s", src.revision, changes)
	case changes != "":
		src.revision += "-dirty"
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		if seconds, err = git(ctx, root, "log", "-1", "--format=%ct"); err != nil {
			return source{}, err
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds", seconds)
	}
	src.time = time.Unix(n, 0).UTC()
	return src, nil
}

// checkVersion takes what Go, Helm and krew all take: v1.2.3 or v1.2.3-rc.1.
func checkVersion(v string) error {
	switch {
	case v == "":
		return errors.New("which version? make release VERSION=v1.2.3")
	case !semver.IsValid(v) || semver.Canonical(v) != v:
		return fmt.Errorf("version %q is not one such as v1.2.3 or v1.2.3-rc.1", v)
	}
	return nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...))
}

// output runs a command and gives what it printed, or an error with what it
// complained of.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
