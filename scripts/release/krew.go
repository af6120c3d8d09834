// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/krew/pkg/constants"
	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

const (
	homepage     = "https://github.com/endorlabs/endor-gatekeeper-provider"
	krewManifest = "endor" + constants.ManifestExtension
)

// addKrewManifest writes the manifest of the plugin's archives, which are in
// r.dir, and has krew's own program look at it.
func (r *release) addKrewManifest(ctx context.Context, targets []target) error {
	manifest := index.Plugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: constants.CurrentAPIVersion, Kind: constants.PluginKind},
		ObjectMeta: metav1.ObjectMeta{Name: "endor"},
		Spec: index.PluginSpec{
			Version:          r.version,
			Homepage:         homepage,
			ShortDescription: "Ask what Endor Labs and Gatekeeper say of container images",
			Description: "Evaluates manifests with the same templates and the same engine that Gatekeeper runs in a cluster,\n" +
				"with verdicts of Endor Labs on the signatures of their images.\n",
		},
	}
	for _, t := range targets {
		if t.program != plugin {
			continue
		}
		archive := t.archive(r.version)
		sum, err := sha256File(filepath.Join(r.dir, archive))
		if err != nil {
			return err
		}
		manifest.Spec.Platforms = append(manifest.Spec.Platforms, index.Platform{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": t.os, "arch": t.arch}},
			URI:      homepage + "/releases/download/" + r.version + "/" + archive,
			Sha256:   sum,
			Bin:      t.binary(),
			Files:    []index.FileOperation{{From: "*", To: "."}},
		})
	}
	content, err := yaml.Marshal(manifest)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, krewManifest)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "validate-krew-manifest", "-skip-install", "-manifest", path)
	cmd.Dir = filepath.Join(r.root, "scripts", "release")
	_, err = output(cmd)
	return err
}
