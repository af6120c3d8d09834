// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Kit is a folder of programs that others wrote, built from the versions that
// scripts/cluster/go.mod pins.
type Kit struct{ dir string }

// Programs of a [Kit].
const (
	etcd              = "etcd"
	kubeAPIServer     = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	kubectl           = "kubectl"
	gatekeeper        = "gatekeeper"
	helm              = "helm"
)

// Modules that tell their version only when the linker is told.
const (
	kubernetesModule = "k8s.io/kubernetes"
	gatekeeperModule = "github.com/open-policy-agent/gatekeeper/v3"
)

// Bin is the folder of the programs.
func (k Kit) Bin() string { return filepath.Join(k.dir, "bin") }

func (k Kit) program(name string) string { return filepath.Join(k.Bin(), name) }

// gatekeeperChart is Gatekeeper's own Helm chart, of the version that runs.
func (k Kit) gatekeeperChart() string { return filepath.Join(k.dir, "gatekeeper-chart") }

// BuildKit builds the kit into .cache/cluster/kit of the repository at root,
// unless it is there already, and removes kits of other versions. It takes
// minutes, of which progress tells.
func BuildKit(ctx context.Context, root string, progress io.Writer) (Kit, error) {
	b := builder{module: filepath.Join(root, "scripts", "cluster"), progress: progress}
	version, err := b.version(ctx)
	if err != nil {
		return Kit{}, err
	}
	kits := filepath.Join(root, ".cache", "cluster", "kit")
	kit := Kit{dir: filepath.Join(kits, version)}
	if _, err := os.Stat(kit.dir); err == nil {
		return kit, nil
	}
	unlock, err := b.lock(ctx, kits)
	if err != nil {
		return Kit{}, err
	}
	defer unlock()
	if _, err := os.Stat(kit.dir); err == nil { // somebody else built it meanwhile
		return kit, nil
	}
	// What is there is of other versions, or of a build that was interrupted.
	if err := os.RemoveAll(kits); err != nil {
		return Kit{}, err
	}
	building := Kit{dir: filepath.Join(kits, "building")}
	if err := b.build(ctx, building); err != nil {
		return Kit{}, errors.Join(fmt.Errorf("build the programs of a cluster: %w", err), os.RemoveAll(building.dir))
	}
	return kit, os.Rename(building.dir, kit.dir)
}

// lock waits until nobody else builds a kit in the folder. What it gives ends
// that, as does the end of the process.
func (b builder) lock(ctx context.Context, folder string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
		if !waiting {
			fmt.Fprintln(b.progress, "Another process builds the programs of a cluster; waiting for it.")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(time.Second):
		}
	}
}

type builder struct {
	module   string // folder of scripts/cluster
	progress io.Writer
}

// version is a name for what would be built: the pinned versions, the compiler
// and how it is used.
func (b builder) version(ctx context.Context) (string, error) {
	out, err := b.run(ctx, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(out)
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.module, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// build builds the programs in one go, so that the compiler always has
// something to do beside the one big package that others wait for.
func (b builder) build(ctx context.Context, kit Kit) error {
	kubernetes, _, err := b.find(ctx, kubernetesModule)
	if err != nil {
		return err
	}
	version, folder, err := b.find(ctx, gatekeeperModule)
	if err != nil {
		return err
	}
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetes, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := []string{"-s", "-w"}
	// kubectl and helm cannot talk to a server that does not know its version.
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", pkg+".gitVersion="+kubernetes, "-X", pkg+".gitMajor="+major, "-X", pkg+".gitMinor="+minor)
	}
	flags = append(flags, "-X", gatekeeperModule+"/pkg/version.Version="+version)

	if err := os.MkdirAll(kit.Bin(), 0o755); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, `Building Kubernetes %s, Gatekeeper %s, etcd and helm into .cache, once for these versions.
With two cores and nothing compiled before it takes some 10 minutes; the longest is kube-apiserver.
`, kubernetes, version)
	if err := b.compile(ctx, "build", "-v", "-ldflags", strings.Join(flags, " "), "-o", kit.Bin()+"/", "tool"); err != nil {
		return err
	}
	// The command is the root of its module, go.etcd.io/etcd/server/v3.
	if err := os.Rename(kit.program("server"), kit.program(etcd)); err != nil {
		return err
	}
	return os.CopyFS(kit.gatekeeperChart(), os.DirFS(filepath.Join(folder, "charts", "gatekeeper")))
}

// find gives the pinned version of a module, and its folder.
func (b builder) find(ctx context.Context, module string) (version, folder string, err error) {
	if _, err := b.run(ctx, "mod", "download", module); err != nil {
		return "", "", err
	}
	out, err := b.run(ctx, "list", "-m", "-f", "{{.Version}} {{.Dir}}", module)
	version, folder, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return version, folder, err
}

// compile runs go build -v, which prints what it compiles.
func (b builder) compile(ctx context.Context, args ...string) error {
	cmd := b.command(ctx, args...)
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	cmd.Stderr = write
	start := time.Now()
	err = cmd.Start()
	_ = write.Close() // go has its own
	if err != nil {
		return err
	}

	var said bytes.Buffer // what is not the name of a package, to be told if it fails
	packages, told := 0, start
	for lines := bufio.NewScanner(read); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " #\t") {
			fmt.Fprintln(&said, line)
			continue
		}
		packages++
		if now := time.Now(); now.Sub(told) >= 15*time.Second {
			told = now
			fmt.Fprintf(b.progress, "  %4.0f s: %d packages compiled, now %s\n", now.Sub(start).Seconds(), packages, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, said.String())
	}
	fmt.Fprintf(b.progress, "  %4.0f s: built\n", time.Since(start).Seconds())
	return nil
}

func (b builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := b.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// command runs go as the Makefile does, so that both share what is compiled.
func (b builder) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.module
	flags := strings.TrimSpace(os.Getenv("GOFLAGS") + " -tags=grpcnotrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+flags, "GOWORK=off")
	// With go itself the compilers end that go has started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
