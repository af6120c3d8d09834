# SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
# SPDX-License-Identifier: Apache-2.0

# Needs Go and a POSIX shell. What needs more says so and how to get it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PROGRAMS := endor-gatekeeper-provider kubectl-endor endor-emulator
FUZZTIME ?= 30s
BENCHTIME ?= 1s
SOAK ?= 30m

# RACE=required makes `make test` fail where the race detector cannot run,
# instead of going on without it.
RACE ?= auto

# One way to build everything, programs, tests, tools and lint, so that all of it
# shares one build cache: Gatekeeper's engine takes minutes to compile.
# Only the race detector needs cgo, and `make test` turns it on for that.
CGO_WANTED := $(CGO_ENABLED)
export CGO_ENABLED := 0

# grpc's trace package reaches methods by name, for which the linker has to keep
# every exported method of the whole program.
export GOFLAGS := $(strip $(GOFLAGS) -tags=grpcnotrace)

# Packages whose tests link Gatekeeper's engine are those that link OPA's
# evaluator. With the race detector they take minutes more to build, and the
# engine, whose external_data belongs to a whole process, is not used from many
# goroutines here.
ENGINE := github.com/open-policy-agent/opa/v1/topdown
TESTED = go list -test -f '{{if not .ForTest}}{{$$kind := "light"}}{{range .Deps}}{{if eq . "$(ENGINE)"}}{{$$kind = "engine"}}{{end}}{{end}}{{$$kind}} {{.ImportPath}}{{end}}' ./...

LINT := go tool -modfile=scripts/tools/go.mod golangci-lint

# Helm 3, helm-unittest and helm-tool. Unlike a released Helm, one that is built
# from its module believes to speak to a Kubernetes 1.20.
CHART := charts/endor-gatekeeper-provider
CHART_TOOL := go tool -modfile=scripts/chart/go.mod
KUBE_VERSION := 1.36.3

##@ Use

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Emulator, provider and Gatekeeper's engine on examples/: who is admitted, and why
	@go run ./provider/internal/demo

.PHONY: build
build: need-go ## Build the three programs into bin/
	@mkdir -p bin
	go build -o bin/ $(PROGRAMS:%=./provider/cmd/%)

##@ Check

.PHONY: test
test: need-go ## All tests that need only Go; with the race detector where there is a C compiler
	@packages=$$($(TESTED)) || exit; status=0; \
	light=$$(printf '%s\n' "$$packages" | sed -n 's/^light \(.*\)\.test$$/\1/p'); \
	engine=$$(printf '%s\n' "$$packages" | sed -n 's/^engine \(.*\)\.test$$/\1/p'); \
	cgo="$(CGO_WANTED)"; test -n "$$cgo" || cgo=$$(unset CGO_ENABLED; go env CGO_ENABLED); \
	if test "$$cgo" = 1 && command -v $$(go env CC) >/dev/null; then \
		CGO_ENABLED=1 go test -race $$light || status=1; \
	elif test "$(RACE)" = required; then \
		echo "The race detector needs cgo and a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; \
	else \
		echo "No C compiler (or CGO_ENABLED=0): testing without the race detector, which needs one." >&2; \
		go test $$light || status=1; \
	fi; \
	go test -p 1 $$engine || status=1; \
	exit $$status

.PHONY: test-redis
test-redis: need-go ## What the shared cache does with a real redis-server, which the tests start
	@command -v redis-server >/dev/null || \
		{ echo "This needs redis-server: apt-get install redis-server" >&2; exit 1; }
	$(if $(filter required,$(RACE)),CGO_ENABLED=1 )go test $(if $(filter required,$(RACE)),-race )-tags=grpcnotrace,redis ./provider/internal/sharedcache
	$(if $(filter required,$(RACE)),CGO_ENABLED=1 )go test $(if $(filter required,$(RACE)),-race )-tags=grpcnotrace,redis -run '^TestRedisScripts$$' ./provider/cmd/endor-gatekeeper-provider

.PHONY: test-browser
test-browser: need-go ## The HTML report in a real Chromium: search, keyboard, contrast, hostile names, no requests
	@command -v chromium >/dev/null || \
		{ echo "This needs chromium: apt-get install chromium" >&2; exit 1; }
	go test -count=1 -tags=grpcnotrace,browser ./provider/internal/render

.PHONY: fuzz
fuzz: need-go ## Each fuzz target for FUZZTIME (30s)
	@grep -r --include='*_test.go' '^func Fuzz' provider scripts | sed 's/^\(.*\)\/[^/]*:func \(Fuzz[A-Za-z0-9_]*\)(.*/\1 \2/' | sort | \
	while read -r folder target; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "./$$folder" </dev/null || exit 1; \
	done

.PHONY: lint
lint: need-go ## golangci-lint, in the version that scripts/tools pins
	$(LINT) run ./...

##@ The chart

# -count=1, since the cache of tests does not look at files outside of their module.
.PHONY: test-chart
test-chart: need-go ## The Helm chart and deploy/: lint, helm-unittest, each mode twice, certificates of scripts/gen-certs.sh
	@command -v openssl >/dev/null || { echo "This needs openssl: apt-get install openssl" >&2; exit 1; }
	$(CHART_TOOL) helm lint --strict --kube-version $(KUBE_VERSION) --set auth.existingSecret=lint $(CHART)
	$(CHART_TOOL) helm-tool lint --values $(CHART)/values.yaml --templates $(CHART)/templates
	$(CHART_TOOL) helm-unittest --strict $(CHART)
	go -C scripts/chart vet ./...
	go -C scripts/chart test -count=1 ./...

.PHONY: test-alerts
test-alerts: build ## Alerts with promtool, and the dashboard with a Prometheus that reads the provider through a soak of 45 seconds
	@for program in promtool prometheus redis-server; do command -v $$program >/dev/null || \
		{ echo "This needs $$program: apt-get install prometheus redis-server" >&2; exit 1; }; done
	go -C scripts/chart vet -tags=alerts ./...
	go -C scripts/chart test -tags=alerts -count=1 -v -run 'Promtool|Alerts|Panel' ./...

##@ The image

.PHONY: test-image
test-image: need-go ## Build both images with buildah, without a registry, and look at what is inside
	@scripts/image/test.sh

##@ A real cluster

.PHONY: cluster
cluster: build ## kube-apiserver, Gatekeeper and provider as processes on loopback, until make cluster-down
	@go run ./provider/internal/localcluster/cluster up

.PHONY: cluster-down
cluster-down: need-go ## End what make cluster started
	@go run ./provider/internal/localcluster/cluster down

.PHONY: e2e
e2e: need-go ## Policy and provider in a cluster of their own, asserted
	@go run ./provider/internal/localcluster/cluster build
	go test -count=1 -v -timeout 20m -tags=grpcnotrace,e2e ./provider/internal/e2e

##@ Release

# Nothing is published: .github/workflows/release.yaml does that, for a tag.
.PHONY: release
release: need-go ## All files of the release VERSION=v1.2.3 into dist/; ONLY=kubectl-endor,linux/amd64 makes less
	go -C scripts/release run . -version '$(VERSION)' $(if $(ONLY),-only '$(ONLY)') $(if $(DIRTY),-dirty)

.PHONY: test-release
test-release: need-go ## Archives, checksums, bills of materials, krew's manifest, and the rules of the workflows
	go -C scripts/release vet -tags=grpcnotrace,reproducible ./...
	go -C scripts/release test -count=1 ./...

.PHONY: test-reproducible
test-reproducible: need-go ## Build the provider twice, with empty build caches and in other folders, and compare the bytes
	go -C scripts/release test -count=1 -v -timeout 30m -tags=grpcnotrace,reproducible -run '^TestTheProviderIsReproducible$$' .

##@ Against the real API

.PHONY: conformance-live
conformance-live: need-go ## What is assumed of Endor Labs, asked of the real API with your ENDOR_* credentials
	@mkdir -p bin && go build -o bin/conformance ./provider/internal/conformance && exec bin/conformance

##@ Measure

.PHONY: bench
bench: need-go ## The provider beside a handler that does nothing, the policy beside an empty one; takes some ten minutes
	@tags=grpcnotrace; \
	if command -v redis-server >/dev/null; then tags=$$tags,redis; \
	else echo "No redis-server: what other replicas left in a Redis is not measured. apt-get install redis-server" >&2; fi; \
	go test -tags=$$tags -run '^$$' -bench . -benchtime $(BENCHTIME) -timeout 1h ./provider/internal/bench/...
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./provider/internal/policytest/live
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./provider/internal/localprovider

.PHONY: bench-check
bench-check: need-go ## Fail if the provider became much slower than a handler that does nothing, or asks too often; seconds
	go test -count=1 -v -tags=grpcnotrace,ratios -run '^TestRatios$$' ./provider/internal/bench
	go test -count=1 -v -run '^TestAFleet' ./provider/internal/verify

# A turn of all sides takes 25 seconds, whatever BENCHTIME says.
.PHONY: bench-admission
bench-admission: need-go ## Pods through a real API server and Gatekeeper, with the policy and without; takes three minutes
	@go run ./provider/internal/localcluster/cluster build
	go test -tags=grpcnotrace,e2e -run '^$$' -bench . -benchtime 5x -timeout 20m ./provider/internal/e2e

.PHONY: performance
performance: need-go ## Run the benchmarks and write docs/performance.md and its plot
	go -C scripts/perfdoc run . -bench

.PHONY: soak
soak: build ## The program for SOAK (30m) with faults that come and go, every answer checked; SEED repeats a run
	@go run ./provider/internal/soak -for $(SOAK) $(if $(SEED),-seed $(SEED))

##@ Generate

# docs/metrics.md is what the running program says, so a test writes it.
METRICS := ^TestEveryMetricIsDocumented$$

.PHONY: generate
generate: need-go ## Make policies/library, docs/metrics.md, the chart's README and schema, the manifests of deploy/ and the lists of docs/
	go run ./scripts/policygen
	go test -count=1 -run '$(METRICS)' ./provider/cmd/endor-gatekeeper-provider -update
	go -C scripts/chart run .
	go run ./provider/internal/docs/generate

.PHONY: pictures
pictures: need-go ## Write the pictures of docs/report.md, with Chromium; they differ a little between machines
	@command -v chromium >/dev/null || \
		{ echo "This needs chromium: apt-get install chromium fonts-inter" >&2; exit 1; }
	go test -count=1 -tags=grpcnotrace,browser -run '^TestPictures$$' ./provider/internal/render -update

.PHONY: verify
verify: need-go ## Fail if something generated, a go.mod or the format is out of date
	go run ./scripts/policygen -check
	go test -count=1 -run '$(METRICS)' ./provider/cmd/endor-gatekeeper-provider
	go -C scripts/chart run . -check
	go run ./provider/internal/docs/generate -check
	go mod tidy -diff
	go -C scripts/tools mod tidy -diff
	go -C scripts/perfdoc mod tidy -diff
	go -C scripts/perfdoc test ./...
	go -C scripts/perfdoc run . -check
	go -C scripts/chart mod tidy -diff
	go -C scripts/cluster mod tidy -diff
	go -C scripts/release mod tidy -diff
	@files=$$(gofmt -l provider scripts) && test -z "$$files" || { echo "gofmt -w $$files" >&2; exit 1; }

.PHONY: clean
clean: ## Remove bin/ and dist/
	rm -rf bin dist

# A Go that is too old fails on go.mod before it can say anything else.
.PHONY: need-go
need-go:
	@go env GOVERSION 2>/dev/null | grep -Eq 'go(1\.(2[6-9]|[3-9][0-9])|[2-9])' || \
		{ echo "This needs Go 1.26 or newer. Found: $$(cd / && go version 2>&1)" >&2; exit 1; }
