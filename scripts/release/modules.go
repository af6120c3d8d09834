// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// modules are the folders of all modules that programs may be made of, by
// path@version. The standard library is std without a version.
type modules map[string]string

func readModules(ctx context.Context, root string) (modules, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-json=Path,Version,Dir,Replace", "all")
	cmd.Dir = root
	list, err := output(cmd)
	if err != nil {
		return nil, err
	}
	folders := modules{}
	for decoder := json.NewDecoder(strings.NewReader(list)); ; {
		var m struct{ Path, Version, Dir string }
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read what %s printed: %w", cmd, err)
		}
		folders[m.Path+"@"+m.Version] = m.Dir
	}
	cmd = exec.CommandContext(ctx, "go", "env", "GOROOT")
	cmd.Dir = root
	folders[stdlib], err = output(cmd)
	return folders, err
}

const stdlib = "std"

var (
	licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|patents|authors)([-._].*)?$`)
)

// license is what a module says of its use.
type license struct {
	ids  []string // SPDX; none where a text is not recognized
	text []byte   // all of it, notices too
}

// license reads the license files at the top of a module, which must have one:
// without, nobody may give it to others.
func (m modules) license(id string) (license, error) {
	dir := m[id]
	if dir == "" {
		return license{}, fmt.Errorf("the module cache has no %s", id)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return license{}, err
	}
	var found license
	recognized, licensed := true, false
	for _, entry := range entries {
		isLicense := licenseName.MatchString(entry.Name())
		if !entry.Type().IsRegular() || !isLicense && !noticeName.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return license{}, err
		}
		found.text = fmt.Appendf(found.text, "--- %s\n\n%s\n\n", entry.Name(), bytes.TrimSpace(text))
		if !isLicense {
			continue
		}
		licensed = true
		coverage := licensecheck.Scan(text)
		recognized = recognized && coverage.Percent >= enoughPercent
		for _, match := range coverage.Match {
			found.ids = append(found.ids, match.ID)
		}
	}
	if !licensed {
		return license{}, fmt.Errorf("%s has no license file in %s", id, dir)
	}
	slices.Sort(found.ids)
	found.ids = slices.Compact(found.ids)
	if !recognized {
		found.ids = nil
	}
	return found, nil
}

// enoughPercent of a file's words are those of licenses when it holds nothing
// else that matters: a copyright line, a title.
const enoughPercent = 75
