// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package buildinfo says which build of a program is running, from what the Go
// toolchain recorded in it.
package buildinfo

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// What -ldflags=-X sets where the source has no history: in an image. Empty
// means that the toolchain knows.
var version, revision string

// Info names a build. Unknown fields are empty, Version is then "devel".
type Info struct {
	Version  string `json:"version"`  // of the module, such as v1.2.3
	Revision string `json:"revision"` // of the source
	Modified bool   `json:"modified"` // the source had changes that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"` // such as linux/amd64
}

// Read reads the record in the running program.
func Read() Info {
	info := Info{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if v := build.Main.Version; v != "" && v != "(devel)" {
		info.Version = v
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	if version != "" {
		info.Version = version
	}
	if revision != "" {
		info.Revision = revision
	}
	return info
}

// String is the version and, in brackets, all else that is known.
func (i Info) String() string {
	known := []string{i.Go, i.Platform}
	if i.Revision != "" {
		revision := i.Revision
		if i.Modified {
			revision += ", modified"
		}
		known = append([]string{revision}, known...)
	}
	return i.Version + " (" + strings.Join(known, ", ") + ")"
}

// Command makes the subcommand version of program.
func Command(program string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := Read()
			switch output {
			case "text":
				_, err := fmt.Fprintln(cmd.OutOrStdout(), program, info)
				return err
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(info)
			default:
				return fmt.Errorf("--output is %q; it is text or json", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text, json")
	return cmd
}
