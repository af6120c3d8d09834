// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package gatekeeper

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	exportutil "github.com/open-policy-agent/gatekeeper/v3/pkg/export/util"
)

// errNoExport says that a folder holds no file of Gatekeeper's export.
var errNoExport = errors.New("no exported audit in it: Gatekeeper writes PATH/CHANNEL/TIME.log")

// ReadExport reads what Gatekeeper's audit exported to disk: files that end in
// .log, of which each is one whole audit, and .txt, which are being written, in
// dir and below it. The files that can be read are read, and the others are
// told in Problems.
func ReadExport(ctx context.Context, dir string) (Audits, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Audits{}, err
	}
	defer root.Close()
	c := newCollector()
	files := 0
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		extension := filepath.Ext(path)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			c.problem("%v", err)
		case !d.Type().IsRegular() || extension != ".log" && extension != ".txt":
		default:
			files++
			c.exportFile(root, path, extension == ".log")
		}
		return nil
	})
	if err == nil && files == 0 && len(c.problems) == 0 {
		err = errNoExport
	}
	return c.audits(), err
}

func (c *collector) exportFile(root *os.Root, path string, complete bool) {
	f, err := root.Open(path)
	if err != nil {
		c.problem("%v", err)
		return
	}
	defer f.Close()
	audits := map[string]bool{}
	tooLong, err := lines(f, func(line []byte) { c.exportLine(line, audits) })
	c.skipped += tooLong
	if err != nil {
		c.problem("%s: %v", path, err)
		return
	}
	for audit := range audits {
		c.finished[audit] = c.finished[audit] || complete
	}
}

func (c *collector) exportLine(raw []byte, audits map[string]bool) {
	c.lines++
	var msg exportutil.ExportMsg
	if err := json.Unmarshal(raw, &msg); err != nil {
		c.skipped++
		return
	}
	if _, ok := c.begin(msg.ID); !ok {
		c.skipped++
		return
	}
	audits[msg.ID] = true
	if msg.EventType != "violation_audited" {
		return // beginning or end
	}
	v := Violation{
		ConstraintKind: msg.Kind, ConstraintName: msg.Name, EnforcementAction: msg.EnforcementAction,
		Group: msg.ResourceGroup, Kind: msg.ResourceKind, Namespace: msg.ResourceNamespace, Name: msg.ResourceName,
		Message: msg.Message,
	}
	details, _ := msg.Details.(map[string]any)
	v.explain(details)
	if !c.add(msg.ID, v) {
		c.skipped++
	}
}
