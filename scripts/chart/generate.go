// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cert-manager/helm-tool/parser"
	"github.com/cert-manager/helm-tool/render"
	"github.com/cert-manager/helm-tool/schema"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
)

const (
	chartFolder    = "charts/endor-gatekeeper-provider"
	readmeFile     = "README.md"
	schemaFile     = "values.schema.json"
	templateCopy   = "files/k8sendorsignedimages.yaml"
	dashboardFile  = "files/dashboard.json"
	templateSource = "policies/library/k8sendorsignedimages/template.yaml"
	installFile    = "deploy/install.yaml"
	baseFile       = "deploy/base/provider.yaml"

	// name is that of the release, its namespace and the Provider object, as
	// the policies' samples have it.
	name = "endor-gatekeeper-provider"

	// kubeVersion is what charts are rendered for: the API server that the end
	// to end tests start.
	kubeVersion = "v1.36.3"
)

// generate gives the content of every generated file, by its path in the
// repository. It reads only what is written by hand.
func generate(root string) (map[string][]byte, error) {
	folder := filepath.Join(root, chartFolder)
	values := filepath.Join(folder, "values.yaml")
	readme, err := renderReadme(filepath.Join(folder, readmeFile), values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", readmeFile, err)
	}
	valuesSchema, err := renderSchema(values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", schemaFile, err)
	}
	template, err := os.ReadFile(filepath.Join(root, templateSource))
	if err != nil {
		return nil, err
	}
	dashboard, err := renderDashboard()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dashboardFile, err)
	}
	generated := map[string][]byte{readmeFile: readme, schemaFile: valuesSchema, templateCopy: template, dashboardFile: dashboard}
	c, err := load(folder, generated)
	if err != nil {
		return nil, err
	}
	install, err := renderInstall(c, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", installFile, err)
	}
	base, err := renderInstall(c, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", baseFile, err)
	}
	files := map[string][]byte{installFile: install, baseFile: base}
	for file, content := range generated {
		files[path.Join(chartFolder, file)] = content
	}
	return files, nil
}

// renderReadme gives the README with the part between its marks made anew.
func renderReadme(readme, values string) ([]byte, error) {
	current, err := os.ReadFile(readme)
	if err != nil {
		return nil, err
	}
	const begin, end = "<!-- AUTO-GENERATED -->\n", "<!-- /AUTO-GENERATED -->"
	before, rest, found := strings.Cut(string(current), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return nil, fmt.Errorf("it needs the lines %s and %s", strings.TrimSpace(begin), end)
	}
	document, err := parser.Load(values, false)
	if err != nil {
		return nil, err
	}
	made, err := render.Render("markdown-plain", document)
	if err != nil {
		return nil, err
	}
	return []byte(before + begin + "\n" + strings.Trim(made, "\n") + "\n\n" + end + after), nil
}

func renderSchema(values string) ([]byte, error) {
	document, err := parser.Load(values, true)
	if err != nil {
		return nil, err
	}
	made, err := schema.Render(document)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(made), "", "  "); err != nil {
		return nil, err
	}
	return append(indented.Bytes(), '\n'), nil
}

// load reads a chart from its folder, with some files replaced.
func load(folder string, replaced map[string][]byte) (*chart.Chart, error) {
	var files []*loader.BufferedFile
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		within = filepath.ToSlash(within)
		if entry.IsDir() {
			if within == "tests" {
				return fs.SkipDir
			}
			return nil
		}
		if _, made := replaced[within]; made {
			return nil
		}
		data, err := os.ReadFile(file)
		files = append(files, &loader.BufferedFile{Name: within, Data: data})
		return err
	})
	if err != nil {
		return nil, err
	}
	for file, data := range replaced {
		files = append(files, &loader.BufferedFile{Name: file, Data: data})
	}
	return loader.LoadFiles(files)
}

// template does what `helm template` does.
func template(c *chart.Chart, values map[string]any) (*release.Release, error) {
	return templateAs(c, name, name, values)
}

func templateAs(c *chart.Chart, releaseName, namespace string, values map[string]any) (*release.Release, error) {
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(new(action.Configuration))
	install.ReleaseName, install.Namespace = releaseName, namespace
	install.ClientOnly, install.DryRun, install.Replace = true, true, true
	install.KubeVersion = version
	return install.Run(c, values)
}

const installHeader = `# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# The chart with its default values, for clusters without Helm. Made by
# scripts/chart; deploy/README.md says how to use it.
apiVersion: v1
kind: Namespace
metadata:
  name: endor-gatekeeper-provider
  labels:
    app.kubernetes.io/part-of: endor-gatekeeper-provider
    pod-security.kubernetes.io/enforce: restricted
`

// renderInstall gives the chart's objects without what only Helm has a use for:
// its labels, and the check before an uninstall.
func renderInstall(c *chart.Chart, policies bool) ([]byte, error) {
	rendered, err := template(c, map[string]any{
		"auth":     map[string]any{"existingSecret": name + "-credentials"},
		"policies": map[string]any{"enabled": policies},
	})
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	out.WriteString(installHeader)
	for line := range strings.Lines(rendered.Manifest) {
		label := strings.TrimSpace(line)
		if strings.HasPrefix(label, "helm.sh/chart: ") || strings.HasPrefix(label, "app.kubernetes.io/managed-by: ") {
			continue
		}
		out.WriteString(line)
	}
	return []byte(out.String()), nil
}
