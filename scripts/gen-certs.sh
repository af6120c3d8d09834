#!/usr/bin/env bash
# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Makes a CA and a certificate for the chart's mode `generated`.
set -euo pipefail

usage() {
	cat <<'HELP'
Makes the certificate of endor-gatekeeper-provider for the chart's tls.mode
`generated`, with openssl, and writes two files:

  secret.yaml   the Secret with certificate and private key; keep it secret
  values.yaml   the values that go with it: mode, name of the Secret, caBundle

The CA's key is deleted: the CA can vouch for nothing else, ever.

Usage: scripts/gen-certs.sh [options]

  --namespace NAME   namespace of the release (default endor-gatekeeper-provider)
  --name NAME        name of the Service, which is that of the release if its name
                     holds "endor-gatekeeper-provider" (the default)
  --extra-name NAME  one more DNS name of the certificate, for a provider.url that
                     is not the Service
  --days N           days that the certificate is valid (default 365)
  --out FOLDER       where to write (default: a new folder, certs)
  --previous FILE    values.yaml of the certificate before: its CA stays trusted
  --help             show this

To install:

  kubectl apply -f certs/secret.yaml
  helm upgrade --install endor-gatekeeper-provider charts/endor-gatekeeper-provider \
    -n endor-gatekeeper-provider -f certs/values.yaml -f your-values.yaml

To renew, before the certificate ends: run this with --previous and another --out,
then first `helm upgrade` with the new values, which trust both certificates, and
then `kubectl apply` the new Secret. Nothing is refused in between.
HELP
}

fail() {
	echo "gen-certs: $*" >&2
	exit 1
}

namespace=endor-gatekeeper-provider
name=endor-gatekeeper-provider
days=365
out=certs
previous=
extra_name=
while (($#)); do
	case $1 in
	--help | -h) usage && exit ;;
	--namespace | --name | --extra-name | --days | --out | --previous)
		(($# > 1)) || fail "$1 needs a value"
		[[ -n $2 ]] || fail "$1 needs a value"
		option=${1#--}
		printf -v "${option//-/_}" %s "$2"
		shift 2
		;;
	*) fail "unknown option $1; --help lists them" ;;
	esac
done
for label in "$namespace" "$name"; do
	[[ $label =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || fail "$label is no name of a Kubernetes namespace or Service"
done
[[ $extra_name =~ ^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$ ]] || fail "--extra-name: $extra_name is no DNS name"
[[ $days =~ ^[1-9][0-9]{0,4}$ ]] || fail "--days: $days is no number of days"
command -v openssl >/dev/null || fail "this needs openssl: apt-get install openssl"
if [[ -e $out/secret.yaml || -e $out/values.yaml ]]; then
	fail "$out holds a certificate already; give another folder with --out, or delete it"
fi

previous_bundle=
if [[ -n $previous ]]; then
	previous_bundle=$(sed -n 's/^  caBundle: //p' "$previous")
	[[ -n $previous_bundle ]] || fail "--previous: $previous holds no caBundle"
fi

umask 077
work=$(mktemp -d)
# Whatever happens, no key stays behind.
trap 'rm -rf "$work"' EXIT
host=$name.$namespace.svc

quiet() {
	local log
	log=$("$@" 2>&1) || fail "$1 $2: $log"
}

quiet openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
quiet openssl ecparam -name prime256v1 -genkey -noout -out "$work/tls.key"

cat >"$work/openssl.cnf" <<CONFIG
[req]
distinguished_name = dn
prompt = no
[dn]
CN = endor-gatekeeper-provider CA
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$host${extra_name:+, DNS:$extra_name}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONFIG
quiet openssl req -x509 -new -config "$work/openssl.cnf" -extensions ca \
	-key "$work/ca.key" -sha256 -days "$days" -out "$work/ca.crt"
# The name is in subjectAltName; a common name ends after 64 bytes.
quiet openssl req -new -config "$work/openssl.cnf" -subj "/O=$name" -key "$work/tls.key" -out "$work/tls.csr"
quiet openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial \
	-extfile "$work/openssl.cnf" -extensions leaf -sha256 -days "$days" -out "$work/tls.crt"
rm "$work/ca.key"
quiet openssl verify -CAfile "$work/ca.crt" "$work/tls.crt"

cp "$work/ca.crt" "$work/bundle.crt"
if [[ -n $previous_bundle ]]; then
	# Of several CAs the first is the one that the certificate before was issued by.
	openssl base64 -d -A <<<"$previous_bundle" | openssl x509 >>"$work/bundle.crt" ||
		fail "--previous: the caBundle of $previous is no certificate"
fi

# base64 without line breaks, where base64 -w0 is not known.
encoded() {
	openssl base64 -A -in "$1"
}

mkdir -p "$out"
cat >"$out/secret.yaml" <<SECRET
apiVersion: v1
kind: Secret
metadata:
  name: "$name-generated"
  namespace: "$namespace"
type: kubernetes.io/tls
data:
  tls.crt: $(encoded "$work/tls.crt")
  tls.key: $(encoded "$work/tls.key")
SECRET
cat >"$out/values.yaml" <<VALUES
# For $host, until $(openssl x509 -in "$work/tls.crt" -noout -enddate | cut -d= -f2).
tls:
  mode: generated
  existingSecret: "$name-generated"
provider:
  caBundle: $(encoded "$work/bundle.crt")
VALUES
chmod 0600 "$out/secret.yaml"
chmod 0644 "$out/values.yaml"
echo "wrote $out/secret.yaml and $out/values.yaml for $host, valid $days days"
