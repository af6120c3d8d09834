// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package findings

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/printable"
)

// Log is one run of SARIF 2.1.0.
type Log struct {
	Tool    string // the program
	Version string // of the program

	// Rules are all that Results name, each once.
	Rules   []Rule
	Results []Result

	// Notices are what went wrong with the run itself. Complete is false if
	// something is missing from the results because of it.
	Notices  []string
	Complete bool
}

// Rule is a kind of result.
type Rule struct {
	ID   string // a code
	Text string // one sentence: what it means, and what to do
}

// SARIFLevel is how bad a result is.
type SARIFLevel string

// The levels.
const (
	LevelError   SARIFLevel = "error"
	LevelWarning SARIFLevel = "warning"
	LevelNote    SARIFLevel = "note"
)

// Result is one finding.
type Result struct {
	Rule  string
	Level SARIFLevel
	Text  string

	// File and Line say where it stands; empty and 0 if in no file.
	File string
	Line int

	// Logical says what it is about, where that is no file: namespace/kind/name,
	// or an image.
	Logical string

	// Fingerprint tells the result from others of the rule over time; empty means
	// that Logical does.
	Fingerprint string
}

const (
	homepage     = "https://github.com/endorlabs/endor-gatekeeper-provider"
	sarifVersion = "2.1.0"
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
)

// SARIF writes a run as SARIF 2.1.0. A result whose rule is not among the rules
// is an error.
func SARIF(w io.Writer, log Log) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: log.Tool, Version: log.Version, URI: homepage, Rules: []sarifRule{}}
	index := map[string]int{}
	for i, r := range log.Rules {
		index[r.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: r.ID, Short: sarifText{r.ID}, Full: sarifText{r.Text}, Help: sarifText{r.Text}})
	}
	invocation := sarifInvocation{Successful: log.Complete}
	for _, text := range log.Notices {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{Level: LevelError, Message: sarifText{printable.Visible(text)}})
	}
	run.Invocations = []sarifInvocation{invocation}
	for _, r := range log.Results {
		i, ok := index[r.Rule]
		if !ok {
			return fmt.Errorf("SARIF: a result is of the rule %q, which is not described", r.Rule)
		}
		run.Results = append(run.Results, newResult(r, i))
	}
	return JSON(w, sarifLog{Version: sarifVersion, Schema: sarifSchema, Runs: []sarifRun{run}})
}

func newResult(r Result, rule int) sarifResult {
	out := sarifResult{RuleID: r.Rule, RuleIndex: rule, Level: r.Level, Message: sarifText{printable.Visible(r.Text)}}
	var at sarifLocation
	if r.File != "" {
		at.Physical = &sarifPhysical{Artifact: sarifArtifact{URI: fileURI(r.File)}}
		if r.Line > 0 {
			at.Physical.Region = &sarifRegion{StartLine: r.Line}
		}
	}
	if r.Logical != "" {
		at.Logical = []sarifLogical{{Name: printable.Visible(r.Logical)}}
	}
	if at.Physical != nil || at.Logical != nil {
		out.Locations = []sarifLocation{at}
	}
	if r.Fingerprint == "" {
		r.Fingerprint = r.Logical
	}
	if r.Fingerprint != "" {
		out.Fingerprints = map[string]string{"endorGatekeeperProvider/v1": printable.Visible(r.Fingerprint)}
	}
	return out
}

// fileURI gives a file as a URI reference: relative ones stay so, for whoever
// shows results beside a repository.
func fileURI(file string) string {
	file = strings.TrimPrefix(filepath.ToSlash(filepath.Clean(file)), "./")
	u := url.URL{Path: file}
	if filepath.IsAbs(file) {
		u.Scheme = "file"
	}
	return u.String()
}

type sarifLog struct {
	Version string     `json:"version"`
	Schema  string     `json:"$schema"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	URI     string      `json:"informationUri,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string    `json:"id"`
	Short sarifText `json:"shortDescription"`
	Full  sarifText `json:"fullDescription"`
	Help  sarifText `json:"help"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level   SARIFLevel `json:"level"`
	Message sarifText  `json:"message"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        SARIFLevel        `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []sarifLocation   `json:"locations,omitempty"`
	Fingerprints map[string]string `json:"partialFingerprints,omitempty"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
}
