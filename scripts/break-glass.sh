#!/usr/bin/env bash
# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# From constraints that deny to constraints that warn, and back.
set -euo pipefail

usage() {
	cat <<'HELP'
Turns the constraints of kind K8sEndorSignedImages to warn, in the cluster of the
current kubectl context, and back to what they were.

  scripts/break-glass.sh on  [NAME…]    what denies warns instead
  scripts/break-glass.sh off [NAME…]    what was turned to warn is as before
  scripts/break-glass.sh status         the enforcement of each, and what it was

Without names it is about all constraints of the kind. While one warns, IMAGES THAT
NOBODY SIGNED ARE ADMITTED; who creates them sees a warning, and audit lists them.

What a constraint was is kept in its annotation, so that off works on any machine.
Both may be run again at any time. off leaves alone what somebody has changed in
between, and says so. Argo CD or Flux, if they sync constraints, turn them back:
suspend that first.

Exit status: 0, or 1 if something could not be changed; what was not is named.
HELP
}

annotation=endorlabs.com/break-glass
kind=k8sendorsignedimages.constraints.gatekeeper.sh
kubectl=${KUBECTL:-kubectl}

fail() {
	printf 'break-glass: %s\n' "$*" >&2
	exit 1
}

case ${1-} in
on | off | status) mode=$1 ;;
--help | -h) usage && exit ;;
*) fail "say on, off or status; --help says more" ;;
esac
shift
for name in "$@"; do
	[[ $name =~ ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$ ]] || fail "$name is no name of a constraint"
done
command -v "$kubectl" >/dev/null || fail "this needs kubectl"

# look NAME: its version, its action and what it was, default for an action that is
# not there (Gatekeeper denies then) and - for no annotation.
look() {
	local found
	found=$("$kubectl" get "$kind" "$1" -o go-template='{{.metadata.resourceVersion}} {{or .spec.enforcementAction "default"}} {{with .metadata.annotations}}{{or (index . "'"$annotation"'") "-"}}{{else}}-{{end}}') || return
	read -r version action was <<<"$found"
	if [[ ! $action =~ ^[A-Za-z]+$ || ! $was =~ ^([a-z]+|-)$ ]]; then
		echo "break-glass: $1 has an action or an annotation that is not understood" >&2
		return 1
	fi
}

# put NAME ACTION WAS: both in one request, and nothing if somebody has changed the
# constraint since it was read. null takes either away.
put() {
	"$kubectl" patch "$kind" "$1" --type=merge -p "{\"metadata\": {\"resourceVersion\": \"$version\", \"annotations\": {\"$annotation\": $3}}, \"spec\": {\"enforcementAction\": $2}}" >/dev/null
}

quoted() { if [[ $1 == default ]]; then echo null; else echo "\"$1\""; fi; }
shown() { echo "${1/#default/deny}"; }

on() {
	case $action in
	warn) if [[ $was == - ]]; then echo "$1: warn, as it was"; else echo "$1: warn already, was $(shown "$was")"; fi ;;
	dryrun) echo "$1: dryrun, as it was" ;;
	*) put "$1" '"warn"' "\"$action\"" && echo "$1: warn, was $(shown "$action")" ;;
	esac
}

off() {
	if [[ $was == - ]]; then
		echo "$1: $(shown "$action"), as it was"
	elif [[ $action != warn ]]; then
		put "$1" "$(quoted "$action")" null && echo "$1: $(shown "$action"), which somebody has set since; was $(shown "$was") before"
	else
		put "$1" "$(quoted "$was")" null && echo "$1: $(shown "$was") again"
	fi
}

status() {
	if [[ $was == - ]]; then echo "$1: $(shown "$action")"; else echo "$1: $(shown "$action"), was $(shown "$was"): break-glass"; fi
}

# change NAME: audit writes to constraints too, so what was read may be old.
change() {
	local try
	for try in 1 2 3; do
		look "$1" || return
		"$mode" "$1" && return
		((try < 3)) || return 1
	done
}

if (($# == 0)); then
	listed=$("$kubectl" get "$kind" -o jsonpath='{.items[*].metadata.name}') || fail "the constraints could not be listed"
	read -ra names <<<"$listed"
	set -- "${names[@]}"
	(($#)) || echo "There is no constraint of kind K8sEndorSignedImages."
fi
failed=()
for name in "$@"; do
	change "$name" || failed+=("$name")
done
((${#failed[@]} == 0)) || fail "not changed: ${failed[*]}"
