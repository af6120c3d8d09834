// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const (
	server = "endor-gatekeeper-provider"
	plugin = "kubectl-endor"
)

// The emulator is part of a release, so that whoever tries the provider or tests
// a policy in CI needs no Go.
var (
	programs  = []string{server, plugin, "endor-emulator"}
	platforms = []platform{
		{"darwin", "amd64"}, {"darwin", "arm64"},
		{"linux", "amd64"}, {"linux", "arm64"},
		{"windows", "amd64"}, {"windows", "arm64"},
	}
)

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// target is a program on a platform.
type target struct {
	program string
	platform
}

func (t target) binary() string {
	if t.os == "windows" {
		return t.program + ".exe"
	}
	return t.program
}

// name is that of the target's files, without their endings.
func (t target) name(version string) string {
	return strings.Join([]string{t.program, version, t.os, t.arch}, "_")
}

func (t target) archive(version string) string {
	if t.os == "windows" {
		return t.name(version) + ".zip"
	}
	return t.name(version) + ".tar.gz"
}

// selectTargets gives the targets of the programs and platforms that only names,
// all where it names none of a kind.
func selectTargets(only string) ([]target, error) {
	someProgram, somePlatform := false, false
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, name := range names {
		isProgram := slices.Contains(programs, name)
		isPlatform := slices.ContainsFunc(platforms, func(p platform) bool { return p.String() == name })
		if !isProgram && !isPlatform {
			return nil, fmt.Errorf("-only: %q is none of the programs %v nor of the platforms %v", name, programs, platforms)
		}
		someProgram, somePlatform = someProgram || isProgram, somePlatform || isPlatform
	}
	var targets []target
	for _, program := range programs {
		for _, p := range platforms {
			if (!someProgram || slices.Contains(names, program)) && (!somePlatform || slices.Contains(names, p.String())) {
				targets = append(targets, target{program, p})
			}
		}
	}
	return targets, nil
}

// versionVars is the package whose variables name a build.
const versionVars = "github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo"

// build compiles a target as the Dockerfile does, with env on top of the
// environment. What a user's environment could change in the result is set.
func build(ctx context.Context, src source, t target, out string, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace",
		"-ldflags=-s -w -X "+versionVars+".version="+src.version+" -X "+versionVars+".revision="+src.revision,
		"-o", out, "./provider/cmd/"+t.program)
	cmd.Dir = src.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off")
	cmd.Env = append(cmd.Env, env...)
	_, err := output(cmd)
	return err
}
