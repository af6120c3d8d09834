// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package externaldata_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/externaldata"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// As many as are read at once begin to send and stop.
func TestWhoStopsInTheMiddleOfARequestHoldsUpNobody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHandler(t, externaldata.Config{}))
	t.Cleanup(server.Close)
	for range 64 {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte("POST /validate HTTP/1.1\r\nHost: provider\r\nContent-Length: 4000000\r\nExpect: 100-continue\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
		// The server says so when somebody reads.
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	client := server.Client()
	client.Timeout = time.Minute // no answer takes so long unless there is none
	resp, err := client.Post(server.URL+"/validate", "application/json", strings.NewReader(request(t, image("good"))))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

// silent is an Endor Labs that does not answer.
type silent struct{}

func (silent) Verify(ctx context.Context, _ question.Question) (verify.Verdict, error) {
	<-ctx.Done()
	return verify.Verdict{}, ctx.Err()
}

// late is a body that comes after a while.
type late struct {
	after time.Duration
	*strings.Reader
}

func (l *late) Read(p []byte) (int, error) {
	time.Sleep(l.after)
	l.after = 0
	return l.Reader.Read(p)
}

// Gatekeeper waits from when it began to send.
func TestTheBudgetCountsFromWhenTheRequestCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		desk, err := verify.New(silent{}, verify.Config{Resolver: verify.Resolver{Namespace: "acme"}})
		if err != nil {
			t.Fatal(err)
		}
		defer desk.Close()
		h := externaldata.NewHandler(externaldata.Config{Answerer: desk})
		start := time.Now()
		got := post(t, h, &late{after: 700 * time.Millisecond, Reader: strings.NewReader(request(t, image("good")))})
		if took := time.Since(start); took != verify.DefaultBudget {
			t.Errorf("the answer took %v, want %v", took, verify.DefaultBudget)
		}
		if !strings.HasPrefix(got.Response.SystemError, "UNAVAILABLE: ") {
			t.Errorf("systemError = %q", got.Response.SystemError)
		}
	})
}

// Nobody has looked at it, so it is no refusal.
func TestARequestWhoseTurnDoesNotComeIsUndecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, externaldata.Config{})
		var others sync.WaitGroup
		for range 64 {
			others.Go(func() { post(t, h, &late{after: time.Minute, Reader: strings.NewReader(request(t, image("good")))}) })
		}
		defer others.Wait()
		synctest.Wait()
		start := time.Now()
		got := post(t, h, strings.NewReader(request(t, image("good"))))
		if took := time.Since(start); took != time.Second {
			t.Errorf("the answer took %v", took)
		}
		if want := "UNAVAILABLE: the provider has more questions than it may ask at once; try again in a moment."; got.Response.SystemError != want {
			t.Errorf("systemError = %q, want %q", got.Response.SystemError, want)
		}
	})
}
