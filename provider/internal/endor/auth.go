// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// This file holds what is known of the endpoints that say who a credential is.
// No verdict depends on them.

// Identity is who a credential is for Endor Labs, and what it may do.
type Identity struct {
	Tenants    []string
	Namespaces []string // that it was given; their children may be usable too

	// Roles are names of system roles, such as CODE_SCANNER. Rules are the
	// methods that are allowed of a kind of resource, such as CREATE, * for all
	// kinds but those in Except.
	Roles  []string
	Rules  map[string][]string
	Except []string
}

// Grant is what is known of a permission.
type Grant string

// The grants.
const (
	Granted Grant = "granted"
	Denied  Grant = "denied"
	Unsaid  Grant = "unsaid" // the roles are none whose extent is documented, or were not told
)

const (
	rolePrefix   = "SYSTEM_ROLE_"
	methodPrefix = "METHOD_"
)

// Roles that Endor Labs documents to create everything that a scan needs, and
// those that it documents to change nothing.
var (
	creators = []string{"ADMIN", "CODE_SCANNER"}
	readers  = []string{"READ_ONLY"}
)

// MayCreate says whether objects of a kind may be created.
func (id Identity) MayCreate(kind string) Grant {
	if slices.ContainsFunc(id.Roles, func(role string) bool { return slices.Contains(creators, role) }) {
		return Granted
	}
	for of, methods := range id.Rules {
		except := of == "*" && slices.ContainsFunc(id.Except, func(e string) bool { return strings.EqualFold(e, kind) })
		if (of == "*" || strings.EqualFold(of, kind)) && !except && (slices.Contains(methods, "CREATE") || slices.Contains(methods, "ALL")) {
			return Granted
		}
	}
	if len(id.Roles)+len(id.Rules) == 0 || slices.ContainsFunc(id.Roles, func(role string) bool { return !slices.Contains(readers, role) }) {
		return Unsaid
	}
	return Denied
}

// WhoAmI says whose the credential is.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	return c.identity(ctx, "read the credential", "/v1/auth")
}

// Permissions says what the credential may do in a namespace, which must be one
// that [question.ValidNamespace] accepts. One that it may not use is an [*Error]
// with [ReasonForbidden].
func (c *Client) Permissions(ctx context.Context, namespace string) (Identity, error) {
	return c.identity(ctx, "read the permissions", "/v1/namespaces/"+namespace+"/auth")
}

func (c *Client) identity(ctx context.Context, op, path string) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	got, err := c.authorized(ctx, call{op: op, method: http.MethodGet, path: path})
	if err != nil {
		return Identity{}, err
	}
	if got.status != http.StatusOK {
		return Identity{}, got.failure()
	}
	var said struct {
		Namespaces []string `json:"namespaces"`
		Tenants    []struct {
			Name string `json:"name"`
		} `json:"tenants"`
		Permissions struct {
			Roles []string `json:"roles"`
			Rules map[string]struct {
				Methods []string `json:"methods"`
			} `json:"rules"`
			Except []string `json:"except_resources"`
		} `json:"permissions"`
	}
	if err := json.Unmarshal(got.body, &said); err != nil {
		return Identity{}, got.to.failed(&Error{Kind: KindUnavailable, Reason: ReasonBadResponse, Status: got.status, Detail: "the response is not what the API documents"})
	}
	id := Identity{Namespaces: said.Namespaces, Except: said.Permissions.Except, Rules: map[string][]string{}}
	for _, tenant := range said.Tenants {
		id.Tenants = append(id.Tenants, tenant.Name)
	}
	for _, role := range said.Permissions.Roles {
		id.Roles = append(id.Roles, strings.TrimPrefix(role, rolePrefix))
	}
	for kind, rule := range said.Permissions.Rules {
		for _, method := range rule.Methods {
			id.Rules[kind] = append(id.Rules[kind], strings.TrimPrefix(method, methodPrefix))
		}
	}
	return id, nil
}

// Clock is the time at the API, to the second. It needs no permission.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req := call{op: "read the clock", method: http.MethodGet, path: "/meta/version"}
	got, err := c.do(ctx, req)
	if err != nil {
		return time.Time{}, err
	}
	if got.date.IsZero() {
		return time.Time{}, req.failed(&Error{Kind: KindUnavailable, Reason: ReasonBadResponse, Status: got.status, Detail: "the response has no date"})
	}
	return got.date, nil
}
