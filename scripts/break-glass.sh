#!/usr/bin/env bash
# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# From constraints that deny to constraints that warn, and back.
set -euo pipefail

usage() {
	cat <<'HELP'
Turns the constraints of kind K8sEndorSignedImages to warn, in the cluster of the
current kubectl context, and back to what they were.

  scripts/break-glass.sh on  [NAME…]    what denies at admission warns instead
  scripts/break-glass.sh off [NAME…]    what was turned to warn is as before
  scripts/break-glass.sh status         the enforcement of each, and what it was

Without names it is about all constraints of the kind. While one warns, IMAGES THAT
NOBODY SIGNED ARE ADMITTED; who creates them sees a warning, and audit lists them.

What a constraint was is kept in its annotation, so that off works on any machine.
Both may be run again at any time. off leaves alone what somebody has changed in
between, and says so. Argo CD or Flux, if they sync constraints, turn them back:
suspend that first.

Exit status: 0, or 1 if something could not be changed or it was interrupted; what
is left is named.
HELP
}

annotation=endorlabs.com/break-glass
kind=k8sendorsignedimages.constraints.gatekeeper.sh
kubectl=${KUBECTL:-kubectl}

# All of a run is in one cluster, though somebody turns to another context
# meanwhile. In a Pod there is none.
ask() { "$kubectl" ${context:+--context "$context"} "$@"; }

# Output that nobody takes must not leave half of the constraints as they are.
trap '' PIPE
say() { printf '%s\n' "$*" || :; }

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
context=$("$kubectl" config current-context 2>/dev/null) || context=

# What is read of a constraint: its version; its action, default for one that is not
# there (Gatekeeper denies then) and empty for "" (which it passes over); what it was,
# - without the annotation; and where those of its scoped actions apply that deny.
template='{{.metadata.resourceVersion}} {{with .spec}}{{if eq (printf "%v" .enforcementAction) ""}}empty{{else}}{{or .enforcementAction "default"}}{{end}}{{else}}default{{end}} '
template+='{{with .metadata.annotations}}{{or (index . "'"$annotation"'") "-"}}{{else}}-{{end}}'
template+='{{with .spec}}{{range .scopedEnforcementActions}}{{if eq (printf "%v" .action) "deny"}}{{range .enforcementPoints}} {{.name}}{{end}}{{end}}{{end}}{{end}}'

look() {
	local found
	found=$(ask get "$kind" "$1" -o go-template="$template") || return
	read -r version action was points <<<"$found"
	if [[ ! $action =~ ^[A-Za-z]+$ || ! $was =~ ^([A-Za-z]+|-)$ ]]; then
		printf 'break-glass: %s: its action is %q and its annotation %q, which is not understood. Put both right: kubectl edit %s %s\n' \
			"$1" "$action" "$was" "$kind" "$1" >&2
		return 1
	fi
}

# put NAME ACTION WAS: both in one request, and nothing if somebody has changed the
# constraint since it was read. null takes either away.
put() {
	ask patch "$kind" "$1" --type=merge -p "{\"metadata\": {\"resourceVersion\": \"$version\", \"annotations\": {\"$annotation\": $3}}, \"spec\": {\"enforcementAction\": $2}}" >/dev/null
}

# denies says whether the constraint denies at admission, and not to audit alone.
denies() {
	case $action in
	deny | default) ;;
	scoped) [[ " $points " == *" validation.gatekeeper.sh "* || " $points " == *" * "* ]] ;;
	*) false ;;
	esac
}

quoted() {
	case $1 in
	default) echo null ;;
	empty) echo '""' ;;
	*) echo "\"$1\"" ;;
	esac
}
shown() { echo "${1/#default/deny}"; }

turn() { put "$1" '"warn"' "\"$action\"" && say "$1: warn, was $(shown "$action")"; }

on() {
	case $action in
	warn) if [[ $was == - ]]; then say "$1: warn, as it was"; else say "$1: warn already, was $(shown "$was")"; fi ;;
	dryrun) say "$1: dryrun, as it was" ;;
	empty) say "$1: empty, which Gatekeeper passes over, as it was" ;;
	scoped) if denies; then turn "$1"; else say "$1: scoped, and denies nothing at admission, as it was"; fi ;;
	*) turn "$1" ;;
	esac
}

off() {
	if [[ $was == - ]]; then
		say "$1: $(shown "$action"), as it was"
	elif [[ $action != warn ]]; then
		put "$1" "$(quoted "$action")" null && say "$1: $(shown "$action"), which somebody has set since; was $(shown "$was") before"
	else
		put "$1" "$(quoted "$was")" null && say "$1: $(shown "$was") again"
	fi
}

status() {
	if [[ $was == - ]]; then
		say "$1: $(shown "$action")"
	elif denies; then
		say "$1: $(shown "$action") again; off takes away what is left of break-glass"
	else
		say "$1: $(shown "$action"), was $(shown "$was"): break-glass"
	fi
}

# change NAME: audit writes to constraints too, so what was read may be old.
change() {
	local try
	for try in 1 2 3; do
		[[ -z $interrupted ]] || return 1
		look "$1" || return
		"$mode" "$1" && return
		((try < 3)) || return 1
	done
}

if (($# == 0)); then
	listed=$(ask get "$kind" -o jsonpath='{.items[*].metadata.name}') || fail "the constraints could not be listed"
	if [[ -z $listed ]]; then
		say "There is no constraint of kind K8sEndorSignedImages. What is refused, something else refuses."
		exit
	fi
	read -ra names <<<"$listed"
	set -- "${names[@]}"
fi
failed=
interrupted=
trap 'interrupted=true' INT TERM
for name in "$@"; do
	if [[ $interrupted ]] || ! change "$name"; then failed+=" $name"; fi
done
[[ -z $interrupted ]] || fail "interrupted; left:${failed:- nothing}. Run it again."
[[ -z $failed ]] || fail "not changed:$failed"
