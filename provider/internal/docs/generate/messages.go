// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// settingMessages lists what the settings say of themselves when they are
// wrong: the calls of refuse in package config.
func settingMessages(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "provider/internal/config/*.go"))
	if err != nil {
		return "", err
	}
	var messages []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return "", err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if message, ok := refusal(node); ok {
				messages = append(messages, message)
			}
			return true
		})
	}
	return list(messages)
}

// refusal is what a call of refuse says, if node is one.
func refusal(node ast.Node) (string, bool) {
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) != 3 {
		return "", false
	}
	if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "refuse" {
		return "", false
	}
	flag, ok := text(call.Args[1])
	if !ok {
		flag = "…" // one of several
	}
	why, ok := text(call.Args[2])
	return "--" + flag + ": " + why, ok
}

func text(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(literal.Value)
	return s, err == nil
}

var (
	failure = regexp.MustCompile(`\{\{-? fail \(?(?:printf )?("(?:[^"\\]|\\.)*")`)
	verb    = regexp.MustCompile(`%[a-z]`)
)

// chartMessages lists what the chart says when its values do not go together.
func chartMessages(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, chartFolder, "templates", "*"))
	if err != nil {
		return "", err
	}
	var messages []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		for _, m := range failure.FindAllStringSubmatch(string(content), -1) {
			message, err := strconv.Unquote(m[1])
			if err != nil {
				return "", err
			}
			messages = append(messages, verb.ReplaceAllString(message, "…"))
		}
	}
	return list(messages)
}

// list is a block of the messages, sorted.
func list(messages []string) (string, error) {
	if len(messages) == 0 {
		return "", errors.New("there are no messages where they were; see messages.go")
	}
	slices.Sort(messages)
	return "```text\n" + strings.Join(slices.Compact(messages), "\n") + "\n```\n", nil
}
