// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// madeOf is a source that needs no history. Its time is one that a zip can hold
// and that is not now.
func madeOf(t *testing.T) source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return source{root: root, version: "v1.2.3-rc.1", revision: "0123456789abcdef", time: time.Date(2024, 2, 29, 12, 0, 2, 0, time.UTC)}
}

// emulators are the cheapest of all programs, for this machine and for one with
// archives of the other kind.
var emulators = []target{
	{"endor-emulator", platform{runtime.GOOS, runtime.GOARCH}},
	{"endor-emulator", platform{"windows", "arm64"}},
}

func makeRelease(t *testing.T) string {
	t.Helper()
	r := &release{source: madeOf(t), dir: t.TempDir(), progress: io.Discard}
	if err := r.make(t.Context(), emulators, false); err != nil {
		t.Fatal(err)
	}
	return r.dir
}

func TestAReleaseHoldsWhatItSays(t *testing.T) {
	t.Parallel()
	dir := makeRelease(t)
	t.Run("and nothing else", func(t *testing.T) {
		want := []string{checksumsName}
		for _, e := range emulators {
			want = append(want, e.archive("v1.2.3-rc.1"), e.name("v1.2.3-rc.1")+".cdx.json")
		}
		slices.Sort(want)
		if got := namesIn(t, dir); !slices.Equal(got, want) {
			t.Errorf("the release is %q, want %q", got, want)
		}
	})
	for _, e := range emulators {
		t.Run(e.String(), func(t *testing.T) {
			files := unpack(t, filepath.Join(dir, e.archive("v1.2.3-rc.1")))
			if got, want := fileNames(files), []string{"LICENSE", "README.md", "THIRD-PARTY-LICENSES.txt", e.binary()}; !slices.Equal(got, want) {
				t.Fatalf("the archive holds %q, want %q", got, want)
			}
			for _, f := range files {
				if f.executable != (f.name == e.binary()) {
					t.Errorf("%s: executable is %v", f.name, f.executable)
				}
			}
			binary := filepath.Join(t.TempDir(), e.binary())
			if err := os.WriteFile(binary, files[3].content, 0o755); err != nil {
				t.Fatal(err)
			}
			info, err := buildinfo.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			holdBillOfMaterials(t, filepath.Join(dir, e.name("v1.2.3-rc.1")+".cdx.json"), binary, info)
			notices := string(files[2].content)
			for _, m := range info.Deps {
				if !strings.Contains(notices, "===== "+m.Path+" "+m.Version+"\n") {
					t.Errorf("THIRD-PARTY-LICENSES.txt says nothing of %s", m.Path)
				}
			}
			if e.os != runtime.GOOS {
				return
			}
			out, err := exec.Command(binary, "version").CombinedOutput()
			if want := "endor-emulator v1.2.3-rc.1 (0123456789abcdef, go"; err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("version: %v, %q, want %q", err, out, want)
			}
		})
	}
	t.Run("checksums", func(t *testing.T) {
		sums, err := os.ReadFile(filepath.Join(dir, checksumsName))
		if err != nil {
			t.Fatal(err)
		}
		var checked []string
		for line := range strings.Lines(string(sums)) {
			sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
			got, err := sha256File(filepath.Join(dir, name))
			if !ok || err != nil || got != sum {
				t.Errorf("%q: the file has %s, %v", line, got, err)
			}
			checked = append(checked, name)
		}
		if want := slices.DeleteFunc(namesIn(t, dir), func(n string) bool { return n == checksumsName }); !slices.Equal(checked, want) {
			t.Errorf("%s is about %q, want %q", checksumsName, checked, want)
		}
	})
}

func holdBillOfMaterials(t *testing.T, path, binary string, info *buildinfo.BuildInfo) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	sum, err := sha256File(binary)
	if err != nil {
		t.Fatal(err)
	}
	if got := (*bom.Metadata.Component.Hashes)[0].Value; got != sum {
		t.Errorf("the bill is of a program with the digest %s, want %s", got, sum)
	}
	want := map[string]string{stdlib: strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	for _, c := range *bom.Components {
		if want[c.Name] != c.Version {
			t.Errorf("%s is %s, the program has %q", c.Name, c.Version, want[c.Name])
		}
		delete(want, c.Name)
		if c.Licenses == nil {
			t.Errorf("%s has no license", c.Name)
		}
		if c.Name == stdlib {
			continue
		}
		if raw, err := hex.DecodeString((*c.Hashes)[0].Value); err != nil || len(raw) != 32 {
			t.Errorf("%s has the checksum %q", c.Name, (*c.Hashes)[0].Value)
		}
	}
	if len(want) > 0 {
		t.Errorf("the bill lacks %v", want)
	}
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	first, second := makeRelease(t), makeRelease(t)
	for _, name := range namesIn(t, first) {
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestTheChartIsPackagedWithItsVersion(t *testing.T) {
	t.Parallel()
	r := &release{source: madeOf(t), dir: t.TempDir(), progress: io.Discard}
	if err := r.addChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.dir, "endor-gatekeeper-provider-1.2.3-rc.1.tgz")
	files := unpack(t, path)
	names := fileNames(files)
	for _, name := range []string{"Chart.yaml", "values.yaml", "values.schema.json", "README.md", "templates/deployment.yaml"} {
		if !slices.Contains(names, chartName+"/"+name) {
			t.Errorf("the package lacks %s: %q", name, names)
		}
	}
	chart := string(files[slices.Index(names, chartName+"/Chart.yaml")].content)
	for _, want := range []string{"\nversion: 1.2.3-rc.1\n", "\nappVersion: 1.2.3-rc.1\n"} {
		if !strings.Contains(chart, want) {
			t.Errorf("Chart.yaml lacks %q:\n%s", want, chart)
		}
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.addChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("packaged again, it differs")
	}
	cmd := exec.Command("go", "tool", "-modfile="+filepath.Join("scripts", "chart", "go.mod"), "helm", "template", path,
		"--set", "auth.existingSecret=x", "--kube-version", "1.36.0")
	cmd.Dir = r.root
	out, err := output(cmd)
	if want := "image: \"ghcr.io/endorlabs/endor-gatekeeper-provider:1.2.3-rc.1\""; err != nil || !strings.Contains(out, want) {
		t.Errorf("Helm does not render it with %s: %v", want, err)
	}
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func unpack(t *testing.T, path string) []file {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".zip") {
		files, err := readTarball(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	for _, entry := range archive.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{name: entry.Name, content: body, executable: entry.Mode()&0o111 != 0})
	}
	return files
}

func fileNames(files []file) []string {
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	return names
}
