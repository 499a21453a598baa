# The two commands of a newcomer: `make run` and `make test`. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The version that the binary and the image are stamped with.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# How long `make fuzz` runs each target.
FUZZTIME ?= 30s
# What runs seldom is compiled for size, without inlining.
SMALL := github.com/google/go-containerregistry github.com/jackc github.com/spf13 filippo.io google.golang.org/protobuf/internal \
	github.com/prometheus/common github.com/prometheus/procfs github.com/gabriel-vasile go.yaml.in golang.org/x/text \
	onnxgate/internal/certs onnxgate/internal/cli onnxgate/internal/config onnxgate/internal/delivery onnxgate/internal/keys \
	onnxgate/internal/modelstore onnxgate/internal/npy onnxgate/internal/oauth onnxgate/internal/oci onnxgate/internal/oidc \
	onnxgate/internal/onnx/exports onnxgate/internal/sealing onnxgate/internal/sqlstore
OUT ?= bin/onnxgate
# Where development tools are kept.
export TOOLS := $(CURDIR)/.cache/bin

.PHONY: run build build-ort test lint bench fuzz proof image model proto help

run: build ## Serve on https://127.0.0.1:8443 with the documentation on, and print curl lines to paste
	@ONNXGATE_DOCS=$${ONNXGATE_DOCS:-on} exec bin/onnxgate serve --print-examples

# grpcnotrace leaves out gRPC's own request traces, which nothing here shows.
build: ## Build bin/onnxgate (static, reproducible)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -X main.version=$(VERSION)" \
		$(SMALL:%=-gcflags=%/...=-l) -o $(OUT) ./cmd/onnxgate

build-ort: ## Build bin/onnxgate-ort, with ONNX Runtime as a second engine
	@VERSION=$(VERSION) scripts/build_ort.sh

test: ## Set up what the tests need and run them all
	@scripts/test.sh $(ARGS)

lint: ## Check formatting and run go vet and golangci-lint
	@scripts/lint.sh

bench: build ## Run the benchmarks; results are ratios within one run
	@scripts/bench.sh

fuzz: ## Run every fuzz target for FUZZTIME (default 30s)
	@scripts/fuzz.sh $(FUZZTIME)

proof: build ## Run the tests that take too long for every change, and write docs/proof.md
	@scripts/proof.sh

image: ## Build the container image onnxgate:VERSION with docker, podman or buildah
	@VERSION=$(VERSION) scripts/image.sh

model: ## Retrain and export the shipped model and its golden data
	@scripts/make_model.sh

proto: ## Regenerate the Go code in api/inferencepb
	@scripts/proto.sh

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
