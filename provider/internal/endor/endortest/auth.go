// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endortest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ExpiryField says how the answer to a token exchange spells the expiration time:
// Endor's own sources disagree.
type ExpiryField string

// The spellings that occur, and those that a client must survive.
const (
	ExpiryCamelCase ExpiryField = "expirationTime" // the default
	ExpirySnakeCase ExpiryField = "expiration_time"
	ExpiryBoth      ExpiryField = "both"
	ExpiryNone      ExpiryField = "none"
)

func (f ExpiryField) validate() error {
	switch f {
	case ExpiryCamelCase, ExpirySnakeCase, ExpiryBoth, ExpiryNone:
		return nil
	default:
		return fmt.Errorf("expiry field %q is not expirationTime, expiration_time, both or none", string(f))
	}
}

// sessions is who may ask what: the key pair, and the tokens it was exchanged for.
type sessions struct {
	now func() time.Time

	mu          sync.Mutex
	key, secret string
	namespaces  []string
	lifetime    time.Duration
	expiryField ExpiryField
	expires     map[string]time.Time // :: token → when it ends
	permissions Permissions
}

// Permissions are what the API says that the key may do. The Emulator tells them
// and does not keep to them: a token may do everything in its namespaces.
type Permissions struct {
	Roles  []string            // such as SYSTEM_ROLE_CODE_SCANNER
	Rules  map[string][]string // :: kind of resource → methods, such as METHOD_CREATE
	Except []string            // kinds that the rule of * leaves out
}

// CodeScanner is what an Emulator says until [Emulator.SetPermissions] is called.
const CodeScanner = "SYSTEM_ROLE_CODE_SCANNER"

// wire is v1Permissions.
func (p Permissions) wire() map[string]any {
	rules := map[string]any{}
	for kind, methods := range p.Rules {
		rules[kind] = map[string]any{"methods": methods}
	}
	return map[string]any{"roles": p.Roles, "rules": rules, "except_resources": p.Except}
}

// exchange gives a token for the right pair.
func (s *sessions) exchange(key, secret string) (map[string]string, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keyOK := subtle.ConstantTimeCompare([]byte(key), []byte(s.key))
	secretOK := subtle.ConstantTimeCompare([]byte(secret), []byte(s.secret))
	if keyOK&secretOK != 1 {
		return nil, refuse(http.StatusUnauthorized, "Invalid API key or secret")
	}
	now := s.now()
	for token, end := range s.expires {
		if !now.Before(end) {
			delete(s.expires, token)
		}
	}
	token, end := "endor-emulator-"+rand.Text(), now.Add(s.lifetime)
	s.expires[token] = end

	answer := map[string]string{"token": token}
	stamp := end.UTC().Format(time.RFC3339Nano)
	if s.expiryField == ExpiryCamelCase || s.expiryField == ExpiryBoth {
		answer[string(ExpiryCamelCase)] = stamp
	}
	if s.expiryField == ExpirySnakeCase || s.expiryField == ExpiryBoth {
		answer[string(ExpirySnakeCase)] = stamp
	}
	return answer, nil
}

// session is what a token that is accepted stands for.
type session struct {
	end         time.Time
	namespaces  []string
	permissions Permissions
}

func (s *sessions) authenticate(r *http.Request) (session, *refusal) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return session{}, unauthenticated()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end, known := s.expires[token]
	if !known || !s.now().Before(end) {
		return session{}, unauthenticated()
	}
	return session{end: end, namespaces: slices.Clone(s.namespaces), permissions: s.permissions}, nil
}

// tenants are the first segments of the namespaces.
func (s session) tenants() []map[string]string {
	var names []string
	for _, namespace := range s.namespaces {
		name, _, _ := strings.Cut(namespace, ".")
		names = append(names, name)
	}
	slices.Sort(names)
	list := []map[string]string{}
	for _, name := range slices.Compact(names) {
		list = append(list, map[string]string{"name": name})
	}
	return list
}

func (s session) authorize(namespace string) *refusal {
	if !slices.Contains(s.namespaces, namespace) {
		return forbidden()
	}
	return nil
}

// SetCredentials changes the pair that is accepted from now on. Tokens stay valid.
func (e *Emulator) SetCredentials(key, secret string) {
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	e.auth.key, e.auth.secret = key, secret
}

// SetNamespaces changes the namespaces that the key may use, for tokens in use too.
func (e *Emulator) SetNamespaces(namespaces ...string) {
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	e.auth.namespaces = slices.Clone(namespaces)
}

// SetPermissions changes what is said of the key from now on.
func (e *Emulator) SetPermissions(p Permissions) {
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	e.auth.permissions = p
}

// SetTokenLifetime changes how long the tokens of later exchanges are accepted. Zero and
// less give tokens that have expired when they arrive.
func (e *Emulator) SetTokenLifetime(d time.Duration) {
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	e.auth.lifetime = d
}

// SetExpiryField changes how later exchanges spell the expiration time.
func (e *Emulator) SetExpiryField(f ExpiryField) error {
	if err := f.validate(); err != nil {
		return err
	}
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	e.auth.expiryField = f
	return nil
}

// RevokeTokens ends all tokens that were given so far.
func (e *Emulator) RevokeTokens() {
	e.auth.mu.Lock()
	defer e.auth.mu.Unlock()
	clear(e.auth.expires)
}

// exchangeToken serves POST /v1/auth/api-key.
func (e *Emulator) exchangeToken(w http.ResponseWriter, r *http.Request) {
	body, refused := readBody(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	if e.disturb(w, r, faultTarget{endpoint: EndpointAuth}) {
		return
	}
	var pair struct {
		Key    string `json:"key"`
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(body, &pair); err != nil {
		refuse(http.StatusBadRequest, `The body is not {"key": "…", "secret": "…"}`).write(w)
		return
	}
	answer, refused := e.auth.exchange(pair.Key, pair.Secret)
	e.counters.exchange(refused == nil)
	if refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// userInfo serves GET /v1/auth and GET /v1/namespaces/{namespace}/auth.
func (e *Emulator) userInfo(w http.ResponseWriter, r *http.Request) {
	who, refused := e.auth.authenticate(r)
	if namespace := r.PathValue("namespace"); refused == nil && namespace != "" {
		refused = who.authorize(namespace)
	}
	if refused != nil {
		refused.write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"authentication_source": "api-key",
		"expiration_time":       who.end.UTC().Format(time.RFC3339Nano),
		"namespaces":            who.namespaces,
		"tenants":               who.tenants(),
		"permissions":           who.permissions.wire(),
	})
}

// version serves GET /meta/version, which needs no token.
func (e *Emulator) version(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"Service":         map[string]string{"Version": "endor-emulator", "SHA": ""},
		"ClientVersion":   "",
		"ClientChecksums": map[string]string{},
	})
}
