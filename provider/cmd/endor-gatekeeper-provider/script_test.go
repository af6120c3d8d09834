// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/certs"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/endor/endortest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/testbed"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// TestScripts drives the program as a process, over mutual TLS, before an
// emulator that really signs and verifies. The scripts are in testdata/script;
// their commands are the methods of world.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":   withWorld((*world).serve),
			"stop":    withWorld((*world).stop),
			"sign":    withWorld((*world).sign),
			"endor":   withWorld((*world).endorDoes),
			"ask":     withWorld((*world).ask),
			"get":     withWorld((*world).get),
			"await":   withWorld((*world).await),
			"replace": withWorld((*world).replace),
			"log":     withWorld((*world).log),

			"ask-and-stop": withWorld((*world).askAndStop),
			"exits":        withWorld((*world).exits),
		},
	})
}

// world is what a script acts on.
type world struct {
	emulator *endortest.Server
	certs    *testbed.Certificates
	client   *http.Client
	running  *testbed.Provider
}

type worldKey struct{}

// setup gives a script an emulator, certificates, and the variables that a
// command line needs.
func setup(env *testscript.Env) error {
	c, err := testbed.NewCertificates(env.WorkDir)
	if err != nil {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	w := &world{certs: c, client: client}
	tb, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("testscript runs without testing.T")
	}
	w.emulator = endortest.Start(tb, endortest.Config{})
	env.Values[worldKey{}] = w
	env.Defer(func() {
		w.client.CloseIdleConnections()
		if w.running != nil {
			_ = w.running.Kill()
		}
	})
	env.Setenv("ENDOR", w.emulator.URL)
	env.Setenv("DIGEST", "sha256:"+strings.Repeat("1a", 32))
	return nil
}

func withWorld(f func(*world, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command cannot be negated")
		}
		f(ts.Value(worldKey{}).(*world), ts, args)
	}
}

// serve [-unready] [FLAG...] starts the program and waits until it is ready, or
// only until it listens.
func (w *world) serve(ts *testscript.TestScript, args []string) {
	path, err := findProgram(ts.Getenv("PATH"))
	ts.Check(err)
	cfg := testbed.Config{
		Program: path, Certificates: w.certs,
		API: w.emulator.URL, Key: w.emulator.APIKey, Secret: w.emulator.APISecret, Namespace: w.emulator.Namespace,
	}
	if len(args) > 0 && args[0] == "-unready" {
		cfg.NotReady, args = true, args[1:]
	}
	cfg.Args = args
	w.running, err = testbed.Start(context.Background(), cfg)
	ts.Check(err)
	ts.Setenv("URL", w.running.URL)
	ts.Setenv("OPS", w.running.OpsURL)
}

func findProgram(path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s is not on the PATH of the script", program)
}

// stop SIGNAL sends TERM or INT and prints how the program ended.
func (w *world) stop(ts *testscript.TestScript, args []string) {
	signal, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}[args[0]]
	if !ok {
		ts.Fatalf("stop TERM or INT")
	}
	ts.Check(w.running.Signal(signal))
	err := w.running.Wait()
	fmt.Fprintf(ts.Stdout(), "ended: %v\n", err)
}

// ask-and-stop KEY... tells the program to stop while its answer is under way.
func (w *world) askAndStop(ts *testscript.TestScript, args []string) {
	stopped := make(chan error, 1)
	go func() {
		held := func(c endortest.Counters) bool { return c.Held > 0 }
		if err := w.emulator.Await(context.Background(), held); err != nil {
			stopped <- err
			return
		}
		stopped <- w.running.Signal(syscall.SIGTERM)
	}()
	w.ask(ts, args)
	ts.Check(<-stopped)
	fmt.Fprintf(ts.Stdout(), "ended: %v\n", w.running.Wait())
}

// exits STATUS PROGRAM [ARG...] runs a program that is to end with a status.
func (w *world) exits(ts *testscript.TestScript, args []string) {
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		status = exit.ExitCode()
	}
	if got := strconv.Itoa(status); got != args[0] {
		ts.Fatalf("ended with status %s, want %s", got, args[0])
	}
}

// sign IMAGE signs as acme/api of GitHub would.
func (w *world) sign(ts *testscript.TestScript, args []string) {
	ts.Check(w.emulator.Sign(endortest.Signing{Image: args[0], Claims: endortest.GitHubClaims("acme", "api", "refs/heads/main")}))
}

// endor ACTION changes what Endor Labs does.
func (w *world) endorDoes(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "hang":
		ts.Check(w.emulator.Inject(endortest.Fault{Kind: endortest.FaultHang}))
	case "waits":
		ts.Check(w.emulator.Inject(endortest.Fault{Kind: endortest.FaultLatency, Delay: 200 * time.Millisecond, Endpoint: endortest.EndpointOperations}))
	case "recover":
		w.emulator.ClearFaults()
	case "end":
		w.emulator.Close()
	case "rotate-key":
		w.emulator.SetCredentials("endr+rotated", "endr+rotated-secret")
		w.emulator.RevokeTokens()
	default:
		ts.Fatalf("Endor cannot %s", args[0])
	}
}

// ask [-as WHO] KEY... posts keys as Gatekeeper does and prints an answer a
// line: a code and its key, or the system error. WHO is gatekeeper (the
// default), nobody, stranger, other-name or tls12.
func (w *world) ask(ts *testscript.TestScript, args []string) {
	client := w.client
	if args[0] == "-as" {
		var err error
		client, err = w.as(args[1])
		ts.Check(err)
		defer client.CloseIdleConnections()
		args = args[2:]
	}
	answer, err := post(client, w.running.URL, args)
	if err != nil {
		fmt.Fprintln(ts.Stdout(), "no answer:", err)
		return
	}
	for _, item := range answer.Items {
		if item.Error != "" {
			fmt.Fprintf(ts.Stdout(), "%s <- %s\n", item.Error, item.Key)
			continue
		}
		value, err := json.Marshal(item.Value)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s <- %s\n", value, item.Key)
	}
	if answer.SystemError != "" {
		fmt.Fprintln(ts.Stdout(), "system error:", answer.SystemError)
	}
}

func (w *world) as(who string) (*http.Client, error) {
	var pair certs.Pair
	err := error(nil)
	switch who {
	case "nobody":
	case "stranger":
		var ca *certs.Authority
		if ca, err = certs.NewAuthority("stranger", time.Hour); err == nil {
			pair, err = ca.Issue(time.Hour, testbed.GatekeeperName)
		}
	case "other-name":
		pair, err = w.certs.ClientCA.Issue(time.Hour, "other.gatekeeper-system.svc")
	case "gatekeeper", "tls12":
		pair, err = w.certs.ClientCA.Issue(time.Hour, testbed.GatekeeperName)
	default:
		err = fmt.Errorf("nobody is called %s", who)
	}
	if err != nil {
		return nil, err
	}
	cfg, err := w.certs.ClientTLS(pair)
	if who == "tls12" {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}, err
}

func post(client *http.Client, url string, keys []string) (*wire.Response, error) {
	body, err := json.Marshal(wire.NewProviderRequest(keys))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got wire.ProviderResponse
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, err
	}
	return &got.Response, nil
}

// get PATH prints status and body of the ops listener.
func (w *world) get(ts *testscript.TestScript, args []string) {
	status, body, err := get(w.running.OpsURL + args[0])
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "HTTP %d\n%s", status, body)
}

// await PATH TEXT waits until what the ops listener answers holds a text.
func (w *world) await(ts *testscript.TestScript, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, body, err := get(w.running.OpsURL + args[0])
		if err == nil && strings.Contains(body, args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not say %q: %v\n%s", args[0], args[1], err, body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func get(url string) (int, string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// replace WHAT changes files under the running program: server-pair, client-ca
// (a new one, with which the client gets a new certificate), torn-server-pair,
// empty-client-ca, credentials.
func (w *world) replace(ts *testscript.TestScript, args []string) {
	cert, key := w.certs.ServerFiles()
	switch args[0] {
	case "server-pair":
		ca, err := certs.NewAuthority("new-provider-ca", time.Hour)
		ts.Check(err)
		w.certs.ServerCA = ca
		ts.Check(w.certs.WriteServer())
	case "client-ca":
		ca, err := certs.NewAuthority("new-gatekeeper-ca", time.Hour)
		ts.Check(err)
		w.certs.ClientCA = ca
		ts.Check(w.certs.WriteClient())
	case "torn-server-pair":
		pem, err := os.ReadFile(cert)
		ts.Check(err)
		ts.Check(errors.Join(os.WriteFile(cert, pem[:len(pem)/2], 0o600), os.WriteFile(key, nil, 0o600)))
	case "empty-client-ca":
		ts.Check(os.WriteFile(w.certs.ClientCAFile(), nil, 0o600))
	case "credentials":
		ts.Check(errors.Join(
			os.WriteFile(filepath.Join(w.certs.Dir, "api-key"), []byte("endr+rotated\n"), 0o600),
			os.WriteFile(filepath.Join(w.certs.Dir, "api-secret"), []byte("endr+rotated-secret\n"), 0o600),
		))
	default:
		ts.Fatalf("cannot replace %s", args[0])
	}
	client, err := w.certs.Client()
	ts.Check(err)
	w.client.CloseIdleConnections()
	w.client = client
}

// log [TEXT...] waits until the program has logged each text and prints its log.
func (w *world) log(ts *testscript.TestScript, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for _, text := range args {
		for !strings.Contains(w.running.Log(), text) {
			if time.Now().After(deadline) {
				ts.Fatalf("the program does not log %q:\n%s", text, w.running.Log())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	fmt.Fprint(ts.Stdout(), w.running.Log())
}
