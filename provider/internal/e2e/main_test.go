// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e asks a real cluster: kube-apiserver, its controllers, Gatekeeper,
// the provider and the emulator of Endor Labs, as processes on loopback.
//
// "make e2e" runs it. All tests share one cluster; each has a namespace and
// constraints of its own. What the programs logged is in .cache/cluster/e2e/logs
// afterwards.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/localcluster"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

// cluster is the one that tests share, and config how it was started.
var (
	cluster *localcluster.Cluster
	config  localcluster.Config
)

func TestMain(m *testing.M) {
	flag.Parse()
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := filepath.Abs("../../..")
	if err != nil {
		return 0, err
	}
	kit, err := localcluster.BuildKit(ctx, root, os.Stderr)
	if err != nil {
		return 0, err
	}
	programs := filepath.Join(root, ".cache", "cluster", "programs")
	if _, err := testbed.Build(programs, "endor-gatekeeper-provider", "endor-emulator", "kubectl-endor"); err != nil {
		return 0, err
	}
	fmt.Fprintln(os.Stderr, "Starting a cluster on 127.0.0.1:")
	config = localcluster.Config{
		Root: root, Dir: filepath.Join(root, ".cache", "cluster", "e2e"), Kit: kit, Programs: programs, Progress: os.Stderr,
		// A busy machine makes Gatekeeper slow, and then it is not the policy that
		// refuses.
		WebhookTimeout: 10 * time.Second,
	}
	cluster, err = localcluster.Start(ctx, config)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stopOwn(), cluster.Stop()) }()

	// The tests end with the first signal, and with a -timeout the testing
	// package ends this process in a way that nothing is deferred.
	giveUp := make(chan string, 1)
	if timeout, _ := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); timeout > 0 {
		time.AfterFunc(timeout-15*time.Second, func() { giveUp <- "the tests take longer than -timeout" })
	}
	done := make(chan int, 1)
	go func() { done <- m.Run() }()
	select {
	case status := <-done:
		return status, nil
	case <-ctx.Done():
		return 0, errors.New("interrupted")
	case why := <-giveUp:
		return 0, errors.New(why)
	}
}

// Images, as the emulator knows them.
const (
	signed   = "ghcr.io/acme/api@sha256:b23b7b932a692b817873eb74069d5d684d2214653d14a5618e64038dc0512b32"
	unsigned = "ghcr.io/acme/unsigned@sha256:90ea61390c930d801de16b99da580e38656a648d03ddd2ad4a84bf1a1c6e406c"
)

// Kinds that a constraint may match.
const (
	pods = `{apiGroups: [""], kinds: [Pod]}`
	all  = `{apiGroups: [""], kinds: [Pod, PodTemplate, ReplicationController]}, {apiGroups: [apps], kinds: [DaemonSet, Deployment, ReplicaSet, StatefulSet]}, {apiGroups: [batch], kinds: [CronJob, Job]}`

	// ofAcme are the parameters of most constraints.
	ofAcme = `{namespace: acme, signers: [{sourceRepository: acme/*}]}`
)

// place is a namespace of one test.
type place struct{ name string }

// newPlace makes a namespace in which nothing is enforced yet.
func newPlace(t *testing.T) place {
	t.Helper()
	words := regexp.MustCompile(`[A-Z][a-z0-9]*`).FindAllString(strings.TrimPrefix(t.Name(), "Test"), -1)
	name := strings.ToLower(strings.Join(words, "-"))
	// With the action behind it, it has to be a label, of 63 characters.
	p := place{name: strings.Trim(name[:min(len(name), 50)], "-")}
	if _, err := cluster.Kubectl(t.Context(), "create", "namespace", p.name); err != nil {
		t.Fatal(err)
	}
	return p
}

// enforce applies a constraint to the namespace until the test ends, and waits
// until Gatekeeper knows it.
func (p place) enforce(t *testing.T, action, kinds, parameters string) {
	t.Helper()
	name := p.name + "-" + action
	manifest := fmt.Sprintf(`
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sEndorSignedImages
metadata: {name: %s}
spec:
  enforcementAction: %s
  match: {namespaces: [%s], kinds: [%s]}
  parameters: %s
`, name, action, p.name, kinds, parameters)
	// With --validate=ignore no client and no server says anything about a field
	// that the schema does not know.
	_, _, err := cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Args: []string{"apply", "--validate=ignore", "-f", "-"}, Stdin: manifest,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "k8sendorsignedimages", name); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.WaitForConstraint(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs kubectl in the namespace and gives what it prints, warnings
// included.
func (p place) kubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := cluster.Run(t.Context(), localcluster.Command{
		Program: "kubectl", Args: append([]string{"--namespace", p.name}, args...), Stdin: stdin,
	})
	return stdout + stderr, err
}

func (p place) create(t *testing.T, manifest string) (string, error) {
	t.Helper()
	return p.kubectl(t, manifest, "create", "-f", "-")
}

// eventually waits until ask has no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	const patience = time.Minute
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", patience, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func mustAdmit(t *testing.T, output string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(output, "Warning") {
		t.Errorf("admitted with a warning: %s", output)
	}
}

// mustRefuse holds that Gatekeeper refused, for the reason that code tells.
func mustRefuse(t *testing.T, code string, output string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("admitted: %s", output)
	}
	var failed *localcluster.CommandError
	if !errors.As(err, &failed) || !strings.Contains(failed.Stderr, `"validation.gatekeeper.sh" denied the request`) ||
		!strings.Contains(failed.Stderr, "["+code+"]") {
		t.Fatalf("it is not the policy that refused with %s: %v", code, err)
	}
}
