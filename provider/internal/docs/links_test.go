// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
)

// A link within the repository leads to a file that is there, and to a heading
// of it.
func TestLinksLeadSomewhere(t *testing.T) {
	files, err := docs.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		for _, target := range linksOf(read(t, file)) {
			path, anchor, _ := strings.Cut(target, "#")
			path = filepath.Join(filepath.Dir(file), path)
			if target[0] == '#' {
				path = file
			}
			info, err := os.Stat(filepath.Join(root, path))
			if err != nil {
				t.Errorf("%s: (%s): there is no %s", file, target, path)
				continue
			}
			checked++
			if anchor != "" && (info.IsDir() || !slices.Contains(anchorsOf(read(t, path)), anchor)) {
				t.Errorf("%s: (%s): %s has no such heading", file, target, path)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links", checked)
	}
}

var (
	inlineLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	fenced     = regexp.MustCompile("(?ms)^ *> *```.*?^ *> *```|^ *```.*?^ *```")
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// linksOf are the links of a document that stay in the repository.
func linksOf(text string) []string {
	var links []string
	for _, m := range inlineLink.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
			links = append(links, m[1])
		}
	}
	return links
}

// anchorsOf are the names of headings, as GitHub makes them.
func anchorsOf(text string) []string {
	var anchors []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(linkText.ReplaceAllString(m[1], "$1"))
		anchors = append(anchors, strings.ReplaceAll(notAnchor.ReplaceAllString(name, ""), " ", "-"))
	}
	return anchors
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	got := anchorsOf("# A `code` heading: of *two*, or three\n```\n# no heading\n```\n## [Link](x.md) here\n### kubectl_endor-x\n")
	want := []string{"a-code-heading-of-two-or-three", "link-here", "kubectl_endor-x"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Flags in running text are flags of a program that is there.
func TestFlagsInTheTextExist(t *testing.T) {
	known := read(t, "scripts/quickstart.sh") + read(t, "scripts/gen-certs.sh") + read(t, "scripts/break-glass.sh")
	for _, help := range helps {
		known += help
	}
	// Of Gatekeeper, kubectl, helm, endorctl and go.
	known += " --external-data-provider-response-cache-ttl --max-serving-threads --exempt-namespace --validating-webhook-" +
		" --dry-run --server-side --set --no-hooks --take-ownership --force-conflicts --source-repository-ref --enable-external-data "
	flag := regexp.MustCompile("`(--[a-z][a-z0-9-]+)[^`]*`")
	files, err := docs.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, m := range flag.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
			if !regexp.MustCompile(regexp.QuoteMeta(m[1]) + `($|[^a-z0-9-])`).MatchString(known) {
				t.Errorf("%s: nobody knows the flag %s", file, m[1])
			}
		}
	}
}
