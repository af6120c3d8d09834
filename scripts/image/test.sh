#!/usr/bin/env bash
# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Builds both images with buildah, without a daemon and without a registry: a
# builder made from nothing, of the Go tree of this machine and its CAs, stands in
# for the real one, and the caches of this machine for empty ones (which is why
# paths are not trimmed). Then looks at what is inside. The other platform is only
# compiled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

limit=$((40 * 1000 * 1000)) # bytes, uncompressed

command -v buildah >/dev/null || {
	echo "This needs buildah: apt-get install buildah" >&2
	exit 1
}
cas=/etc/ssl/certs/ca-certificates.crt
test -s "$cas" || {
	echo "This needs $cas: apt-get install ca-certificates" >&2
	exit 1
}

work=$(mktemp -d)
containers=()
buildah() { command buildah --root "$work/root" --runroot "$work/run" --storage-driver vfs "$@"; }
clean() {
	for c in "${containers[@]}"; do
		buildah umount "$c" >/dev/null || true
		buildah rm "$c" >/dev/null || true
	done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

builder=$(buildah from scratch)
containers+=("$builder")
buildah copy -q "$builder" "$(go env GOROOT)" /usr/local/go >/dev/null
buildah copy -q "$builder" "$cas" "$cas" >/dev/null
mkdir "$work/tmp"
buildah copy -q "$builder" "$work/tmp" /tmp >/dev/null
buildah commit -q "$builder" localhost/go >/dev/null

arch=$(go env GOARCH)
modules=$(go env GOMODCACHE) cache=$(go env GOCACHE)
for target in provider kubectl-endor; do
	program=kubectl-endor
	test "$target" = provider && program=endor-gatekeeper-provider
	# What the program is made of is fetched outside, where there is a network.
	GOFLAGS=-tags=grpcnotrace go list -deps "./provider/cmd/$program" >/dev/null
	echo "== image $target, linux/$arch"
	buildah bud -q --isolation chroot --layers=false --network=host \
		--build-arg GO_IMAGE=localhost/go --build-arg VERSION=v0.0.0-test --build-arg REVISION=0123456789ab \
		--build-arg TARGETOS=linux --build-arg TARGETARCH="$arch" --build-arg BUILDPLATFORM="linux/$arch" \
		--build-arg BUILD_FLAGS= --build-arg GOPROXY=off --build-arg GOMODCACHE="$modules" --build-arg GOCACHE="$cache" \
		--volume "$modules:$modules" --volume "$cache:$cache" \
		--target "$target" --tag "localhost/$target" . >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		fail "buildah bud --target $target"
	}
	container=$(buildah from "localhost/$target")
	containers+=("$container")
	root=$(buildah mount "$container")
	files=$(cd "$root" && find . -type f | sort | tr '\n' ' ')
	test "$files" = ".$cas ./$program " || test "$files" = "./$program .$cas " || fail "$target holds other files than it should: $files"
	size=$(du -sb "$root" | cut -f1)
	test "$target" != provider || test "$size" -le "$limit" || fail "$target is $size bytes, more than $limit"
	"$root/$program" version | tee "$work/version"
	grep -q "v0.0.0-test (0123456789ab, " "$work/version" || fail "$target does not say which build it is"
	buildah inspect --format '{{.OCIv1.Config.User}} {{index .OCIv1.Config.Entrypoint 0}} {{index .OCIv1.Config.Labels "org.opencontainers.image.revision"}}' "$container" >"$work/config"
	grep -qx "65532:65532 /$program 0123456789ab" "$work/config" || fail "$target: user, entrypoint or labels are wrong: $(cat "$work/config")"
	echo "== image $target: $size bytes"
done

other=arm64
test "$arch" != arm64 || other=amd64
echo "== compile for linux/$other"
CGO_ENABLED=0 GOOS=linux GOARCH=$other GOFLAGS=-tags=grpcnotrace go build -trimpath -o "$work/out" ./provider/cmd/endor-gatekeeper-provider
echo "ok: both images hold one program and the CAs, and nothing else"
