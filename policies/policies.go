// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package policies holds the shipped ConstraintTemplate, so that programs can
// evaluate the policy of their own version without running the Rego of
// whoever may edit templates in a cluster.
package policies

import _ "embed"

// Kind is the kind of the constraints of the shipped template.
const Kind = "K8sEndorSignedImages"

// Template is the shipped ConstraintTemplate as YAML, generated from
// policies/src.
//
//go:embed library/k8sendorsignedimages/template.yaml
var Template []byte
