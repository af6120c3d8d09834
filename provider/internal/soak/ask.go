// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	wire "github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
)

// asker is a client as Gatekeeper is one.
type asker struct {
	*soak
	client *http.Client
}

func newAsker(s *soak) (*asker, error) {
	client, err := s.certificates.Client()
	return &asker{soak: s, client: client}, err
}

// ask asks about images and holds the answers against what is true. An error
// means that there was no answer at all.
func (a *asker) ask(ctx context.Context, pictures []*picture, key func(*picture) string) error {
	open, calm, err := a.try(ctx, pictures, key)
	if err != nil || len(open) == 0 || !calm {
		return err
	}
	// In calm a key may be late once: the machine may have been busy elsewhere.
	if !pause(ctx, againAfter) {
		return nil
	}
	still, calm, err := a.try(ctx, open, key)
	a.tally.count(func() { a.tally.again += len(open) - len(still) })
	if err != nil || !calm {
		return err
	}
	for _, p := range still {
		a.wrong("%s is twice undecided or stale, and Endor Labs was well: %s", p.image, p.kind)
	}
	return nil
}

func (a *asker) wrong(format string, args ...any) {
	first := false
	a.tally.count(func() {
		a.tally.wrong++
		first = a.tally.wrong <= told
	})
	if first {
		fmt.Fprintf(a.stdout, "%s WRONG: %s\n", a.elapsed(), fmt.Sprintf(format, args...))
	}
}

// try asks once. It gives the images that are undecided, or decided by a stale
// verdict, and whether there was no fault that could be a reason for it.
func (a *asker) try(ctx context.Context, pictures []*picture, key func(*picture) string) (open []*picture, calm bool, err error) {
	keys := make([]string, len(pictures))
	for i, p := range pictures {
		keys[i] = key(p)
	}
	sky, began := a.weather.look(), time.Now()
	response, err := a.post(ctx, keys)
	ended := time.Now()
	if over(ctx) {
		return nil, false, nil // it was told to end, and so was perhaps the provider
	}
	if err != nil {
		return nil, false, fmt.Errorf("the provider does not answer: %w", err)
	}
	calm = a.weather.calmSince(sky)
	answers := map[string]says{}
	for _, item := range response.Items {
		said, err := read(item)
		if _, twice := answers[item.Key]; err != nil || twice {
			a.wrong("item %+v: it is said twice, or: %v", item, err)
		}
		answers[item.Key] = said
	}
	for i, p := range pictures {
		said, ok := answers[keys[i]]
		if ok {
			delete(answers, keys[i])
			a.tally.count(func() { a.tally.codes[said.code]++ })
			if wrong := p.judge(said, began, ended); wrong != "" {
				a.wrong("%s: %s", p.image, wrong)
			}
		}
		if !ok || said.stale {
			open = append(open, p)
		}
		a.tally.count(func() {
			switch {
			case said.stale:
				a.tally.stale++
			case !ok && !calm:
				a.tally.undecided++
			}
		})
	}
	if len(answers) > 0 {
		a.wrong("%d items were not asked for", len(answers))
	}
	if undecided := len(response.Items) < len(keys); undecided == (response.SystemError == "") {
		a.wrong("%d of %d keys have an item, and systemError is %q", len(response.Items), len(keys), response.SystemError)
	}
	a.tally.count(func() { a.tally.requests++ })
	return open, calm, nil
}

func (a *asker) post(ctx context.Context, keys []string) (*wire.Response, error) {
	body, err := json.Marshal(wire.NewProviderRequest(keys))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.provider.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got wire.ProviderResponse
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	return &got.Response, nil
}

// read reads an item, whose value has to be about the image of its key.
func read(item wire.Item) (says, error) {
	if item.Error != "" {
		code, _, _ := strings.Cut(item.Error, ":")
		return says{code: code}, nil
	}
	raw, err := json.Marshal(item.Value)
	if err != nil {
		return says{}, err
	}
	var value struct {
		Verified bool   `json:"verified"`
		Code     string `json:"code"`
		Digest   string `json:"digest"`
		Stale    bool   `json:"stale"`
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return says{}, err
	}
	if !value.Verified || value.Digest == "" || !strings.Contains(item.Key, strings.ReplaceAll(value.Digest, ":", "%3A")) {
		return says{}, fmt.Errorf("the value %s does not vouch for the image of its key", raw)
	}
	return says{code: value.Code, stale: value.Stale}, nil
}
