// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

// released makes the archives of the plugin, with a small program in its place:
// what krew does with them does not depend on what they do.
func released(t *testing.T) (*release, []target) {
	t.Helper()
	r := &release{source: madeOf(t), dir: t.TempDir(), progress: io.Discard}
	var targets []target
	for _, p := range platforms {
		targets = append(targets, target{plugin, p}, target{server, p})
		binary := file{name: targets[len(targets)-2].binary(), content: []byte("#!/bin/sh\necho installed\n"), executable: true}
		archive := filepath.Join(r.dir, targets[len(targets)-2].archive(r.version))
		if err := writeArchive(archive, []file{binary, {name: "LICENSE"}}, r.time); err != nil {
			t.Fatal(err)
		}
	}
	return r, targets
}

func TestTheManifestForKrewIsAboutTheArchives(t *testing.T) {
	t.Parallel()
	r, targets := released(t)
	if err := r.addKrewManifest(t.Context(), targets); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(r.dir, "endor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest index.Plugin
	if err := yaml.UnmarshalStrict(content, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Name != "endor" || manifest.Spec.Version != r.version || len(manifest.Spec.Platforms) != len(platforms) {
		t.Fatalf("the manifest is %s", content)
	}
	for i, p := range manifest.Spec.Platforms {
		archive := target{plugin, platforms[i]}.archive(r.version)
		if want := "https://github.com/endorlabs/endor-gatekeeper-provider/releases/download/v1.2.3-rc.1/" + archive; p.URI != want {
			t.Errorf("URI %s, want %s", p.URI, want)
		}
		if sum, err := sha256File(filepath.Join(r.dir, archive)); err != nil || p.Sha256 != sum {
			t.Errorf("%s: sha256 %s, want %s, %v", archive, p.Sha256, sum, err)
		}
	}
}

// krew itself installs the archive of this machine, and takes no other.
func TestKrewInstallsThePlugin(t *testing.T) {
	t.Parallel()
	r, targets := released(t)
	if err := r.addKrewManifest(t.Context(), targets); err != nil {
		t.Fatal(err)
	}
	here := target{plugin, platform{runtime.GOOS, runtime.GOARCH}}
	home := t.TempDir()
	install := func(archive string) (string, error) {
		cmd := exec.Command("go", "tool", "krew", "install",
			"--manifest", filepath.Join(r.dir, krewManifest), "--archive", archive)
		cmd.Env = append(os.Environ(), "KREW_ROOT="+home, "KREW_NO_UPGRADE_CHECK=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	other := filepath.Join(t.TempDir(), "other.tar.gz")
	if err := writeArchive(other, []file{{name: here.binary(), content: []byte("other"), executable: true}}, r.time); err != nil {
		t.Fatal(err)
	}
	if out, err := install(other); err == nil || !strings.Contains(out, "checksum") {
		t.Errorf("another archive is installed: %v\n%s", err, out)
	}
	if out, err := install(filepath.Join(r.dir, here.archive(r.version))); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(home, "bin", here.binary())).CombinedOutput()
	if err != nil || string(out) != "installed\n" {
		t.Errorf("what krew installed: %v, %q", err, out)
	}
}
