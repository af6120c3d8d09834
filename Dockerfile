# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Two images, each one static program and the CAs of the web, nothing else: no
# shell, no package manager, no root.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --target provider .
#   docker buildx build --platform linux/amd64,linux/arm64 --target kubectl-endor .
#
# Every RUN is in exec form, so that a builder without a shell will do.

# Golang's index for all platforms; docker buildx imagetools inspect shows it.
ARG GO_IMAGE=docker.io/library/golang:1.26.8-alpine3.24@sha256:b6890e35ded5d19118c2bca3d7754dc4e6f694aac2d0aeb92f9807c2879e4230
ARG BASE_IMAGE=scratch

# The builder runs where it is fastest and compiles for the platform asked for.
FROM --platform=${BUILDPLATFORM} ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY policies policies
COPY provider provider
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
ARG REVISION=
ARG BUILD_FLAGS=-trimpath
ARG GOMODCACHE=/go/pkg/mod
ARG GOCACHE=/root/.cache/go-build
ARG GOPROXY
# grpcnotrace: see the Makefile. Exec form expands no variables; GOFLAGS takes them.
ENV CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} GOMODCACHE=${GOMODCACHE} GOCACHE=${GOCACHE} \
    GOFLAGS="${BUILD_FLAGS} -buildvcs=false -tags=grpcnotrace '-ldflags=-s -w -X github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo.version=${VERSION} -X github.com/endorlabs/endor-gatekeeper-provider/provider/internal/buildinfo.revision=${REVISION}'"

FROM build AS build-provider
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    ["/usr/local/go/bin/go", "build", "-o", "/out/", "./provider/cmd/endor-gatekeeper-provider"]

FROM build AS build-kubectl-endor
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    ["/usr/local/go/bin/go", "build", "-o", "/out/", "./provider/cmd/kubectl-endor"]

FROM ${BASE_IMAGE} AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# By number, since Kubernetes cannot tell from a name that it is not root.
USER 65532:65532
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.vendor="Endor Labs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/endorlabs/endor-gatekeeper-provider" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS kubectl-endor
LABEL org.opencontainers.image.title="kubectl-endor" \
      org.opencontainers.image.description="What a cluster that trusts Endor Labs admits, and what it already runs"
COPY --from=build-kubectl-endor /out/kubectl-endor /kubectl-endor
ENTRYPOINT ["/kubectl-endor"]

FROM base AS provider
LABEL org.opencontainers.image.title="endor-gatekeeper-provider" \
      org.opencontainers.image.description="Gatekeeper external data provider for image signatures at Endor Labs"
COPY --from=build-provider /out/endor-gatekeeper-provider /endor-gatekeeper-provider
EXPOSE 8443 8080
ENTRYPOINT ["/endor-gatekeeper-provider"]
CMD ["serve"]
