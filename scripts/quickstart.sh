#!/usr/bin/env bash
# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# From a cluster with Gatekeeper to a refused Pod.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	cat <<'HELP'
Installs endor-gatekeeper-provider into the cluster of the current kubectl
context and shows it at work. Running it again changes nothing or brings it up
to date.

It makes the namespace endor-gatekeeper-provider with the API key in a Secret,
installs the chart, adds two constraints (one that lists what would be refused
anywhere, and one that refuses in one namespace), and asks the API server, by a
dry run, whether a signed and an unsigned Pod may be created there.

  ENDOR_NAMESPACE=acme ENDOR_API_CREDENTIALS_KEY=… ENDOR_API_CREDENTIALS_SECRET=… scripts/quickstart.sh

Variables, as endorctl has them (key and secret go to the cluster over standard
input, never by a command line):

  ENDOR_NAMESPACE                  Endor namespace of the signatures
  ENDOR_API_CREDENTIALS_KEY        API key
  ENDOR_API_CREDENTIALS_SECRET     its secret
  ENDOR_API                        default https://api.endorlabs.com

Usage: scripts/quickstart.sh [options] [-- options of helm upgrade]

  --namespace NAME      namespace to refuse in (default production)
  --existing            do so although the namespace has Pods of others
  --repository PATTERN  accept only what this repository signed, as in acme/*
                        (default: whoever may sign in the Endor namespace)
  --signed IMAGE        an image with digest that you signed (default: one that only
                        the emulator of Endor Labs knows)
  --unsigned IMAGE      one that nobody signed
  --no-wait             do not wait until the Pods of the provider are ready
  --uninstall           remove all of it, and no more: a release that something else
                        installed stays, and so does a namespace that holds
                        anything of others
  --help                show this
HELP
}

# Out of the environment at once: no program that runs below needs them there.
key=${ENDOR_API_CREDENTIALS_KEY-}
secret=${ENDOR_API_CREDENTIALS_SECRET-}
unset ENDOR_API_CREDENTIALS_KEY ENDOR_API_CREDENTIALS_SECRET

release=endor-gatekeeper-provider
label=endor-gatekeeper-provider/quickstart
kind=k8sendorsignedimages
namespace=production
existing=
repository=
signed=$(sed -n 's/^ *image: *//p' examples/01-signed.yaml)
unsigned=$(sed -n 's/^ *image: *//p' examples/02-unsigned.yaml)
wait=true
uninstall=

say() { printf '%s\n' "$*"; }
fail() {
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}

while (($#)); do
	case $1 in
	--help | -h) usage && exit ;;
	--existing | --uninstall)
		printf -v "${1#--}" %s true
		shift
		;;
	--no-wait)
		wait=
		shift
		;;
	--namespace | --repository | --signed | --unsigned)
		[[ -n ${2-} ]] || fail "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift 2
		;;
	--)
		shift
		break
		;;
	*) fail "unknown option $1; --help lists them" ;;
	esac
done
# What is left follows --, and is for helm: "$@".

[[ $namespace =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || fail "--namespace: $namespace is no name of a namespace"
for text in "$repository" "$signed" "$unsigned" "${ENDOR_NAMESPACE-}"; do
	# They become part of manifests.
	[[ $text =~ ^[A-Za-z0-9._:/@*-]*$ ]] || fail "$text has a character that does not belong there"
done
case $namespace in
kube-* | gatekeeper-system | "$release" | default) fail "--namespace: not $namespace, which must keep working while the provider is away" ;;
esac

kubectl=${KUBECTL:-kubectl}
helm=${HELM:-helm}
command -v "$kubectl" >/dev/null || fail "this needs kubectl: https://kubernetes.io/docs/tasks/tools/"
command -v "$helm" >/dev/null || fail "this needs helm 3 or 4: https://helm.sh/docs/intro/install/"
case $("$helm" version --short) in
v3.* | v4.*) ;;
*) fail "this needs helm 3 or 4, found $("$helm" version --short)" ;;
esac
"$kubectl" get --raw /readyz >/dev/null || fail "the cluster of the current context does not answer"
say "Cluster: $("$kubectl" config current-context 2>/dev/null || say "the one of this Pod")"

has() { [[ -n $("$kubectl" get "$@" --ignore-not-found -o name 2>/dev/null) ]]; }

# A release of this script takes its API key from the Secret that this script makes.
# Prints none, ours or theirs.
whose_release() {
	local values
	if values=$("$helm" get values "$release" -n "$release" -o json 2>&1); then
		[[ $values =~ \"existingSecret\":\ *\"$release-quickstart\" ]] && echo ours || echo theirs
	elif [[ $values == *"release: not found"* ]]; then
		echo none
	else
		fail "helm does not say whose release $release is: $values"
	fi
}
whose=$(whose_release)

# what_is_in NAMESPACE: what someone may miss if the namespace is deleted, one a
# line. What is being deleted goes anyway; the rest is in every namespace.
what_is_in() {
	local listed
	listed=$("$kubectl" get -n "$1" -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.kind}}/{{.metadata.name}} {{or .type ""}}{{"\n"}}{{end}}{{end}}' \
		pods,replicationcontrollers,deployments.apps,replicasets.apps,statefulsets.apps,daemonsets.apps,jobs.batch,cronjobs.batch,persistentvolumeclaims,secrets,services,configmaps) ||
		return
	sed -En -e '\,^Secret/.* kubernetes\.io/service-account-token$,d' \
		-e '\,^ConfigMap/(kube-root-ca\.crt|openshift-service-ca\.crt|istio-ca-root-cert) ,d' \
		-e 's, .*,,p' <<<"$listed"
}

if [[ -n $uninstall ]]; then
	# Constraints first: without the provider they would refuse everything.
	if has crd "$kind.constraints.gatekeeper.sh"; then
		"$kubectl" delete "$kind" -l "$label" --ignore-not-found
	fi
	case $whose in
	ours) "$helm" uninstall "$release" -n "$release" "$@" ;;
	theirs) say "Release $release stays: it is not of this script." ;;
	esac
	"$kubectl" delete secret "$release-quickstart" -n "$release" --ignore-not-found
	# Namespaces only if this script has made them, and no one has used them since.
	made=$("$kubectl" get namespaces -l "$label" -o 'jsonpath={.items[*].metadata.name}')
	for name in $made; do
		# ReplicaSets and Pods of a release go a moment after it.
		for ((tries = 20; ; tries--)); do
			left=$(what_is_in "$name")
			if [[ -z $left || $name != "$release" || $whose != ours ]] || ((!tries)); then break; fi
			sleep 1
		done
		if [[ -z $left ]]; then
			"$kubectl" delete namespace "$name" --ignore-not-found
		else
			"$kubectl" label namespace "$name" "$label-" >/dev/null
			say "Namespace $name stays, without the label of this script, since it holds ${left//$'\n'/ }"
		fi
	done
	say "Removed."
	exit
fi

[[ -n ${ENDOR_NAMESPACE-} ]] || fail "set ENDOR_NAMESPACE; --help says more"
[[ -n $key ]] || fail "set ENDOR_API_CREDENTIALS_KEY; --help says more"
[[ -n $secret ]] || fail "set ENDOR_API_CREDENTIALS_SECRET; --help says more"
for crd in constrainttemplates.templates.gatekeeper.sh providers.externaldata.gatekeeper.sh; do
	has crd "$crd" || fail "Gatekeeper is not installed. With the recommended values:
  helm repo add gatekeeper https://open-policy-agent.github.io/gatekeeper/charts
  helm install gatekeeper gatekeeper/gatekeeper -n gatekeeper-system --create-namespace -f deploy/gatekeeper/values.yaml"
done
[[ $whose != theirs ]] || fail "release $release in namespace $release is not of this script, which would reset its values; constraints to add by hand: policies/library/k8sendorsignedimages/samples"
policy=$("$kubectl" get validatingwebhookconfiguration gatekeeper-validating-webhook-configuration \
	-o jsonpath='{.webhooks[?(@.name=="validation.gatekeeper.sh")].failurePolicy}' 2>/dev/null) ||
	fail "there is no ValidatingWebhookConfiguration gatekeeper-validating-webhook-configuration"
if [[ $policy != Fail ]]; then
	say "Warning: Gatekeeper's webhook has failurePolicy $policy, so what it cannot answer in time is admitted."
	say "         See deploy/gatekeeper/values.yaml before you rely on this."
fi

# A namespace that this script makes is labelled, so that --uninstall knows it.
make_namespace() {
	has namespace "$1" && return
	printf '%s\n' 'apiVersion: v1' 'kind: Namespace' 'metadata:' "  name: \"$1\"" '  labels:' "    $label: \"true\"" |
		"$kubectl" create -f - >/dev/null
}
owned() { [[ -n $("$kubectl" get namespace -l "$label" --field-selector "metadata.name=$1" -o name) ]]; }

if [[ -z $existing ]] && ! owned "$namespace" && [[ -n $("$kubectl" get pods -n "$namespace" -o name) ]]; then
	fail "namespace $namespace has Pods of others, which might not come back; give another --namespace, or --existing"
fi

say "1. Namespace $release, with the API key"
make_namespace "$release"
# printf is part of bash: no process shows the key among its arguments.
encoded() { printf %s "$1" | base64 | tr -d '\n'; }
{
	printf '%s\n' 'apiVersion: v1' 'kind: Secret' 'metadata:' "  name: $release-quickstart" "  namespace: $release" 'type: Opaque' 'data:'
	printf '  api-key: %s\n' "$(encoded "$key")"
	printf '  api-secret: %s\n' "$(encoded "$secret")"
} | "$kubectl" apply --server-side --force-conflicts --field-manager=quickstart -f - >/dev/null

say "2. Chart"
settings=(--set-string "endorNamespace=$ENDOR_NAMESPACE")
[[ -z ${ENDOR_API-} ]] || settings+=(--set-string "endorAPI=$ENDOR_API")
# The Secret comes last: a release without it is not one of this script.
"$helm" upgrade --install "$release" charts/endor-gatekeeper-provider -n "$release" \
	"${settings[@]}" "$@" --set "auth.existingSecret=$release-quickstart" >/dev/null
if [[ -n $wait ]]; then
	"$kubectl" -n "$release" rollout status "deployment/$release" --timeout=180s ||
		fail "the provider does not get ready; its log says why: kubectl -n $release logs deployment/$release"
fi

say "3. Constraints: dryrun everywhere, deny in $namespace"
make_namespace "$namespace"
for ((tries = 60; ; tries--)); do
	has crd "$kind.constraints.gatekeeper.sh" && break
	((tries)) || fail "Gatekeeper made no kind of the ConstraintTemplate; kubectl get constrainttemplate $kind -o yaml says why"
	sleep 1
done
"$kubectl" wait --for=condition=Established "crd/$kind.constraints.gatekeeper.sh" --timeout=60s >/dev/null
if [[ -n $repository ]]; then
	signers="signers: [{sourceRepository: \"$repository\"}]"
else
	signers="anySigner: true"
fi
constraint() {
	cat <<-YAML
		apiVersion: constraints.gatekeeper.sh/v1beta1
		kind: K8sEndorSignedImages
		metadata:
		  name: $1
		  labels:
		    $label: "true"
		spec:
		  enforcementAction: $2
		  match:
		    kinds:
		      - {apiGroups: [""], kinds: [Pod, PodTemplate, ReplicationController]}
		      - {apiGroups: [apps], kinds: [DaemonSet, Deployment, ReplicaSet, StatefulSet]}
		      - {apiGroups: [batch], kinds: [CronJob, Job]}
		    excludedNamespaces: [kube-system, kube-node-lease, gatekeeper-system, $release]
		    $3
		  parameters:
		    namespace: "$ENDOR_NAMESPACE"
		    $signers
		---
	YAML
}
{
	constraint quickstart-dryrun dryrun ""
	constraint quickstart-deny deny "namespaces: [\"$namespace\"]"
} | "$kubectl" apply --server-side --force-conflicts --field-manager=quickstart -f - >/dev/null

say "4. Two Pods, by a dry run"
# try IMAGE: whether the API server would create a Pod of it; what it says is in $answer.
try() {
	answer=$(
		"$kubectl" create --dry-run=server -n "$namespace" -f - 2>&1 <<-YAML
			apiVersion: v1
			kind: Pod
			metadata: {generateName: quickstart-}
			spec:
			  containers:
			    - name: app
			      image: "$1"
			      resources: {limits: {cpu: 10m, memory: 16Mi}}
			      securityContext:
			        runAsNonRoot: true
			        runAsUser: 65532
			        allowPrivilegeEscalation: false
			        capabilities: {drop: [ALL]}
			        seccompProfile: {type: RuntimeDefault}
		YAML
	)
}

explain() { printf '%s\n' "${answer##*denied the request: }" | sed 's/^/             /'; }

# A new constraint is in force when every Gatekeeper has read it, and a provider
# that has just begun is known to Gatekeeper a moment later.
for ((tries = 60; tries; tries--)); do
	try "$unsigned" || [[ $answer != *"[NOT_SIGNED]"* ]] || break
	sleep 1
done
status=0
if try "$unsigned"; then
	say "   unsigned  ADMITTED  $unsigned"
	say "             but should have been refused: kubectl get $kind quickstart-deny -o yaml"
	status=1
else
	say "   unsigned  refused   $unsigned"
	explain
	if [[ $answer != *"[NOT_SIGNED]"* ]]; then
		say "             but not because it is unsigned. The provider's log may say more:"
		say "             kubectl -n $release logs deployment/$release"
		status=1
	fi
fi
if try "$signed"; then
	say "   signed    admitted  $signed"
else
	say "   signed    REFUSED   $signed"
	explain
	say "             Is it signed in Endor namespace $ENDOR_NAMESPACE? Give one that is with --signed."
	status=1
fi
say ""
say "What would be refused elsewhere, once Gatekeeper's audit has run:"
say "   kubectl get $kind quickstart-dryrun -o yaml"
exit $status
