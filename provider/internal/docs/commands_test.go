// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"regexp"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/docs"
)

// Every command names programs, targets, flags, files and values that are there,
// also those that nobody runs.
func TestCommandsNameWhatThereIs(t *testing.T) {
	for _, blocks := range documents(t) {
		for _, block := range blocks {
			for _, command := range block.Commands {
				for _, problem := range problems(t, command.Text) {
					t.Errorf("%s: %s", block.Where(command), problem)
				}
			}
		}
	}
}

// commandInText is a command between backticks, which may go on in the next line.
var commandInText = regexp.MustCompile("`((?:kubectl|helm|make|endorctl|endor-gatekeeper-provider|endor-emulator|kubectl-endor|scripts/[a-z-]+\\.sh) [^`]+)`")

// So does a command within a sentence.
func TestCommandsInSentencesNameWhatThereIs(t *testing.T) {
	files, err := docs.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		for _, m := range commandInText.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, file), ""), -1) {
			text := strings.Join(strings.Fields(m[1]), " ")
			for _, problem := range problems(t, text) {
				t.Errorf("%s: `%s`: %s", file, text, problem)
			}
			checked++
		}
	}
	if checked < 50 {
		t.Errorf("only %d commands", checked)
	}
}

// What a block claims that CI runs is a step of CI.
func TestCIRunsWhatDocumentsSay(t *testing.T) {
	ci := read(t, ".ci/run")
	for _, blocks := range documents(t) {
		for _, block := range blocks {
			if block.Mark != docs.CI {
				continue
			}
			for _, command := range block.Commands {
				target, _, _ := strings.Cut(command.Text, "#")
				step := regexp.MustCompile(`(?m)^step ` + regexp.QuoteMeta(strings.TrimSpace(target)) + `( |$)`)
				if !step.MatchString(ci) {
					t.Errorf("%s: CI has no step %q", block.Where(command), strings.TrimSpace(target))
				}
			}
		}
	}
}

// A check that finds nothing looks the same as one that works.
func TestWhatIsNotThereIsFound(t *testing.T) {
	for _, command := range []string{
		"make no-such-target",
		"endor-gatekeeper-provider serve --no-such-flag=1",
		"bin/endor-gatekeeper-provider reverse",
		"kubectl endor test --no-such-flag",
		"kubectl conjure pods",
		"kubectl apply -f examples/00-nothing.yaml",
		"helm install x charts/endor-gatekeeper-provider --set no.such.value=1",
		"helm uninstal x",
		"scripts/quickstart.sh --no-such-option",
		"scripts/no-such-script.sh",
		"endorctl artifact sign --no-such-flag",
		"nosuchprogram",
		"echo 'unbalanced",
		"echo $(make no-such-target)",
	} {
		if len(problems(t, command)) == 0 {
			t.Errorf("nothing is found wrong with %q", command)
		}
	}
	for _, command := range []string{
		"ENDOR_NAMESPACE=acme scripts/quickstart.sh --repository 'acme/*'",
		"helm upgrade x charts/endor-gatekeeper-provider --set auth.existingSecret=x,endorNamespace=acme --set 'extraArgs={--log-level=debug}'",
		"make soak SOAK=45s",
	} {
		if found := problems(t, command); len(found) > 0 {
			t.Errorf("%q: %v", command, found)
		}
	}
}

func problems(t *testing.T, text string) []string {
	t.Helper()
	file, err := syntax.NewParser().Parse(strings.NewReader(text+"\n"), "")
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	syntax.Walk(file, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			var words []string
			for _, arg := range call.Args {
				words = append(words, plain(arg))
			}
			found = append(found, wrong(t, words)...)
		}
		return true
	})
	return found
}

// plain is a word without its quotes.
func plain(word *syntax.Word) string {
	var s strings.Builder
	_ = syntax.NewPrinter().Print(&s, word) // a Builder takes everything
	return strings.NewReplacer(`'`, "", `"`, "", "\\\n", "").Replace(s.String())
}
