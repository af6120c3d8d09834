// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// nobody is an address of Endor Labs at which nobody answers.
const nobody = "ENDOR_API=http://127.0.0.1:1"

// asked is what a run of the plugin came to.
type asked struct {
	stdout, stderr string
	status         int
}

// plugin is how "kubectl endor" is run: by kubectl, which finds it on the PATH.
type plugin struct {
	kubeconfig string   // default: the administrator's
	env        []string // besides the settings of the emulator
}

// run runs it, and fails the test unless it ends with the status.
func (p plugin) run(t *testing.T, status int, args ...string) asked {
	t.Helper()
	stdout, stderr, err := cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Args: append([]string{"endor"}, args...), Kubeconfig: p.kubeconfig,
		Env: append([]string{
			"PATH=" + config.Programs + string(os.PathListSeparator) + os.Getenv("PATH"),
			"ENDOR_API=" + cluster.EmulatorURL, "ENDOR_NAMESPACE=" + testbed.Namespace,
			"ENDOR_API_CREDENTIALS_KEY=" + testbed.APIKey, "ENDOR_API_CREDENTIALS_SECRET=" + testbed.APISecret,
		}, p.env...),
	})
	got := asked{stdout: stdout, stderr: stderr}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		got.status = failed.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got.status != status {
		t.Fatalf("kubectl endor %s: status %d, want %d\n%s\n%s", strings.Join(args, " "), got.status, status, stderr, stdout)
	}
	return got
}

// report runs "kubectl endor report" and reads what it wrote.
func (p plugin) report(t *testing.T, status int, args ...string) report.Report {
	t.Helper()
	said := p.run(t, status, append([]string{"report", "-o", "json"}, args...)...)
	var r report.Report
	if err := json.Unmarshal([]byte(said.stdout), &r); err != nil {
		t.Fatalf("%v in %s", err, said.stdout)
	}
	return r
}

func TestKubectlFindsTheProgramAsAPluginAndPassesOnItsStatus(t *testing.T) {
	if said := (plugin{}).run(t, 0, "verify", signed); !strings.Contains(said.stdout, "VERIFIED") {
		t.Errorf("it printed %s", said.stdout)
	}
	if said := (plugin{}).run(t, 1, "verify", unsigned); !strings.Contains(said.stdout, "NOT_SIGNED") {
		t.Errorf("it printed %s", said.stdout)
	}
}
