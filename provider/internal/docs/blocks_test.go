// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
)

func TestBlocksAreRead(t *testing.T) {
	const fence = "```"
	blocks, err := parse(t, `
<!-- test: cluster; the last fails; repeated until it does -->

`+fence+`console
# What follows is one command.
$ kubectl apply -f - <<'YAML'
kind: Pod
YAML
created
$ a \
    --b
$ c    # a comment
x

# The next one.
$ d
`+fence+`

1. In a list.

   _Needs an account._
   `+fence+`console
   $ e
   f
   `+fence+`
`+fence+`yaml
$ no: command
`+fence+`
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []docs.Block{
		{
			File: "x.md", Line: 5, Mark: docs.Cluster, LastFails: true, Repeat: true,
			Commands: []docs.Command{
				{Line: 6, Text: "kubectl apply -f - <<'YAML'\nkind: Pod\nYAML", Output: []string{"created"}},
				{Line: 10, Text: "a \\\n    --b"},
				{Line: 12, Text: "c    # a comment", Output: []string{"x"}},
				{Line: 16, Text: "d"},
			},
		},
		{File: "x.md", Line: 23, Mark: docs.Needs, Commands: []docs.Command{{Line: 23, Text: "e", Output: []string{"f"}}}},
	}
	if !reflect.DeepEqual(blocks, want) {
		t.Errorf("got  %+v\nwant %+v", blocks, want)
	}
}

func TestBlocksWithoutAMarkAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"```console\n$ a\n```":                                "no mark",
		"Text.\n```console\n$ a\n```":                         "no mark",
		"<!-- test: nowhere -->\n```console\n$ a\n```":        "no mark",
		"<!-- test: here -->\n```\n```\n```console\n$ a\n```": "no mark",
		"<!-- test: here -->\n```console\na\n```":             "output without a command",
		"<!-- test: here -->\n```console\n```":                "no command",
		"```sh\na\n```":                                       "language console",
	} {
		if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func parse(t *testing.T, text string) ([]docs.Block, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return docs.Blocks(dir, "x.md")
}
