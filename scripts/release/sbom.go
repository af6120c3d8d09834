// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// describe reads from a program what it is made of: a CycloneDX bill of
// materials, and the licenses that have to go with it. What the bill says of
// modules and versions is what the linker recorded in the program itself.
func (r *release) describe(binary string, t target, modules modules) (bom, notices []byte, err error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, nil, err
	}
	sum, err := sha256File(binary)
	if err != nil {
		return nil, nil, err
	}
	program := cdx.Component{
		BOMRef: t.program, Type: cdx.ComponentTypeApplication, Name: t.program, Version: r.version,
		PackageURL: purl(info.Main.Path, r.version) + "?goos=" + t.os + "&goarch=" + t.arch + "#" + strings.TrimPrefix(info.Path, info.Main.Path+"/"),
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
		Licenses:   concluded("Apache-2.0"),
		ExternalReferences: &[]cdx.ExternalReference{
			{Type: cdx.ERTypeVCS, URL: homepage, Comment: "commit " + r.revision},
		},
	}
	components, notices, err := r.components(info, modules)
	if err != nil {
		return nil, nil, err
	}
	refs := make([]string, len(components))
	for i, c := range components {
		refs[i] = c.BOMRef
	}
	doc := cdx.NewBOM()
	doc.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(program.PackageURL+" "+sum)).String()
	doc.Metadata = &cdx.Metadata{Timestamp: r.time.Format(time.RFC3339), Component: &program}
	doc.Components = &components
	doc.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, cdx.SpecVersion1_6)
	return out.Bytes(), notices, err
}

// components are the modules that are linked into a program, and Go's library.
func (r *release) components(info *buildinfo.BuildInfo, modules modules) ([]cdx.Component, []byte, error) {
	linked := []*debug.Module{{Path: stdlib, Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		linked = append(linked, m)
	}
	slices.SortFunc(linked, func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
	var components []cdx.Component
	var notices bytes.Buffer
	fmt.Fprintf(&notices, "Licenses of what is linked into %s.\n", path.Base(info.Path))
	for _, m := range linked {
		id := m.Path + "@" + m.Version
		if m.Path == stdlib {
			id = stdlib
		}
		license, err := modules.license(id)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(&notices, "\n===== %s %s\n\n%s", m.Path, m.Version, license.text)
		c := cdx.Component{
			BOMRef: m.Path, Type: cdx.ComponentTypeLibrary, Scope: cdx.ScopeRequired,
			Name: m.Path, Version: m.Version, PackageURL: purl(m.Path, m.Version), Licenses: concluded(license.ids...),
		}
		if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, nil, fmt.Errorf("checksum of %s: %w", id, err)
			}
			// Of the list of the module's files, as go.sum has it: not of an archive.
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
		}
		components = append(components, c)
	}
	return components, notices.Bytes(), nil
}

func purl(module, version string) string { return "pkg:golang/" + module + "@" + version }

// concluded are licenses as somebody found who compared texts; nil for none.
func concluded(ids ...string) *cdx.Licenses {
	if len(ids) == 0 {
		return nil
	}
	var all cdx.Licenses
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id, Acknowledgement: cdx.LicenseAcknowledgementConcluded}})
	}
	return &all
}
