// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const chartName = "endor-gatekeeper-provider"

// addChart packages the chart with the Helm that tests it. Helm's package holds
// the time at which it was made, so it is packed once more.
func (r *release) addChart(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "endor-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The chart's own versions, and the tag of its image, have no v.
	version := strings.TrimPrefix(r.version, "v")
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile="+filepath.Join("scripts", "chart", "go.mod"), "helm", "package",
		filepath.Join("charts", chartName), "--version", version, "--app-version", version, "--destination", dir)
	cmd.Dir = r.root
	if _, err := output(cmd); err != nil {
		return err
	}
	name := chartName + "-" + version + ".tgz"
	packed, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	files, err := readTarball(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	return writeArchive(filepath.Join(r.dir, name), files, r.time)
}
