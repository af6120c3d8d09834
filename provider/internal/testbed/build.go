// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds programs of provider/cmd into dir, as the Makefile does, and
// gives their paths in order.
func Build(dir string, programs ...string) ([]string, error) {
	paths := make([]string, len(programs))
	for i, program := range programs {
		paths[i] = filepath.Join(dir, program)
		cmd := exec.Command("go", "build", "-tags=grpcnotrace", "-o", paths[i], module+"/provider/cmd/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	return paths, nil
}

const module = "github.com/endorlabs/endor-gatekeeper-provider"
