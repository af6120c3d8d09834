// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package docs reads the commands in the documents, and runs them, so that no
// document shows what does not work.
//
// A command is in a fenced block with the language console: a line that begins
// with "$ ", lines that continue it (after a backslash, or up to the end of a
// here-document), and below it what it prints. A line of output may hold … for
// any text, and a line … alone stands for any lines. A command without output
// may print anything.
//
// The line before a block, a blank one apart, marks what becomes of it:
//
//	<!-- test: here -->     the tests of this package run it; it needs Go only
//	<!-- test: cluster -->  make e2e runs it in a real cluster
//	<!-- test: ci -->       each command is a target of make that CI runs as it is
//	_Needs X._              nobody runs it, because that takes X; readers see the same line
//
// After here or cluster may follow "; the last fails" and "; repeated until it
// does". A block without a mark is an error. Nobody runs what is marked with a
// need, but the tests hold that what it names is there: programs, flags, targets,
// files, values of the chart.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mark is what becomes of a [Block].
type Mark string

// The marks.
const (
	Here    Mark = "here"
	Cluster Mark = "cluster"
	CI      Mark = "ci"
	Needs   Mark = "needs"
)

// Block is one fenced block of commands.
type Block struct {
	File string // by its path in the repository
	Line int    // of its first line

	Mark Mark

	// LastFails says that the last command ends with a status other than 0, and
	// Repeat that it is run until its output fits.
	LastFails, Repeat bool

	Commands []Command
}

// Command is one command of a block.
type Command struct {
	Line   int
	Text   string
	Output []string // nil: any
}

// Where names the command's place, for messages.
func (b Block) Where(c Command) string { return fmt.Sprintf("%s:%d", b.File, c.Line) }

// Files are the documents whose commands are held to work, by their paths in
// the repository at root.
func Files(root string) ([]string, error) {
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*.md", "policies/*.md", "charts/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			path, err := filepath.Rel(root, file)
			if err != nil {
				return nil, err
			}
			files = append(files, filepath.ToSlash(path))
		}
	}
	slices.Sort(files)
	return files, nil
}

// Blocks reads the blocks of a document. The error is about the first that
// cannot be read or has no mark.
func Blocks(root, file string) ([]Block, error) {
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	var blocks []Block
	last := "" // the last line that was not blank
	lines := strings.Split(string(content), "\n")
	for i := 0; i < len(lines); i++ {
		fence, language, fenced := openFence(lines[i])
		if !fenced {
			if strings.TrimSpace(lines[i]) != "" {
				last = lines[i]
			}
			continue
		}
		begin := i + 1
		i = begin + slices.IndexFunc(append(lines[begin:len(lines):len(lines)], fence), func(line string) bool { return strings.TrimSpace(line) == fence })
		switch language {
		case "console":
			b, err := readBlock(last, lines[begin:i], begin+1)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, begin, err)
			}
			b.File = file
			blocks = append(blocks, b)
		case "sh", "bash", "shell", "zsh":
			return nil, fmt.Errorf("%s:%d: commands are in blocks of language console, not %s, so that they are held to work", file, begin, language)
		}
		last = ""
	}
	return blocks, nil
}

func openFence(line string) (fence, language string, ok bool) {
	trimmed := strings.TrimSpace(line)
	fence = trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
	return fence, strings.TrimPrefix(trimmed, fence), len(fence) >= 3
}

var (
	testMark  = regexp.MustCompile(`^<!-- test: (here|cluster|ci)(; the last fails)?(; repeated until it does)? -->$`)
	needsMark = regexp.MustCompile(`^_Needs .+\._$`)
)

func readBlock(mark string, lines []string, line int) (Block, error) {
	b := Block{Line: line}
	mark = strings.TrimSpace(mark)
	if m := testMark.FindStringSubmatch(mark); m != nil {
		b.Mark, b.LastFails, b.Repeat = Mark(m[1]), m[2] != "", m[3] != ""
	} else if needsMark.MatchString(mark) {
		b.Mark = Needs
	} else {
		return b, fmt.Errorf("the block has no mark; put one of <!-- test: here -->, <!-- test: cluster -->, <!-- test: ci --> and _Needs …._ before it")
	}
	indent := indentOf(lines)
	for i := 0; i < len(lines); i++ {
		text := strings.TrimPrefix(lines[i], indent)
		command, isCommand := strings.CutPrefix(text, "$ ")
		if !isCommand {
			if len(b.Commands) == 0 {
				if strings.HasPrefix(text, "#") || text == "" {
					continue // a comment before the first command
				}
				return b, fmt.Errorf("output without a command before it: %q", text)
			}
			c := &b.Commands[len(b.Commands)-1]
			c.Output = append(c.Output, text)
			continue
		}
		c := Command{Line: line + i, Text: command}
		for end := ""; i+1 < len(lines) && continues(c.Text, &end); i++ {
			c.Text += "\n" + strings.TrimPrefix(lines[i+1], indent)
		}
		b.Commands = append(b.Commands, c)
	}
	if len(b.Commands) == 0 {
		return b, fmt.Errorf("the block has no command; one begins with $ and a space")
	}
	for i := range b.Commands {
		b.Commands[i].Output = withoutComments(b.Commands[i].Output)
	}
	return b, nil
}

// withoutComments leaves out blank lines at the end and the comments between
// them, which say something about the next command.
func withoutComments(output []string) []string {
	for n := len(output); n > 0; n = len(output) {
		if last := output[n-1]; last != "" && !strings.HasPrefix(last, "# ") {
			break
		}
		output = output[:n-1]
	}
	if len(output) == 0 {
		return nil
	}
	return output
}

func indentOf(lines []string) string {
	for _, line := range lines {
		if i := strings.Index(line, "$ "); i >= 0 && strings.TrimSpace(line[:i]) == "" {
			return line[:i]
		}
	}
	return ""
}

var heredoc = regexp.MustCompile(`<<-?\s*['"]?([A-Za-z_]+)['"]?`)

// continues tells whether text needs another line. end is the word that ends its
// here-document, once one has begun.
func continues(text string, end *string) bool {
	lines := strings.Split(text, "\n")
	last := lines[len(lines)-1]
	if *end != "" {
		return strings.TrimSpace(last) != *end
	}
	if m := heredoc.FindStringSubmatch(last); m != nil {
		*end = m[1]
		return true
	}
	return strings.HasSuffix(last, `\`)
}
