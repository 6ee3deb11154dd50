# Every target has one line of help: `make help` prints them.

SHELL       := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The commands that exist: every directory right below cmd/ that holds Go files.
CMDS    := $(sort $(patsubst %/,%,$(dir $(wildcard cmd/*/*.go))))

DATA     ?= data
PORT     ?= 8080
FUZZTIME ?= 10s

.PHONY: help run build test race lint fuzz bench cluster-up cluster-down ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, start a whole store in one process in ./data and print how to use it
	@bin/aisnode --dir $(DATA) --port $(PORT)

build: ## leave the static binaries in bin/: aisnode, ais, aisloader
	@mkdir -p bin
	$(if $(CMDS),CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(CMDS:%=./%),@echo "build: no commands yet")

test: ## vet and test everything; installs what it needs; this is what CI runs
	$(GO) vet ./...
	$(GO) test ./...

race: ## run the tests under the race detector
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## run golangci-lint with .golangci.yml
	golangci-lint run ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@echo "fuzz: not there yet" >&2; exit 1

bench: build ## measure against nginx and print operations/s, latency and server CPU per operation
	test/bench/run.sh

cluster-up: build ## start a local cluster: 1 gateway, 3 targets with 2 mountpaths each
	bin/ais dev up --gateways 1 --targets 3 --mountpaths 2 --port $(PORT) --dir $(DATA)/cluster

cluster-down: ## stop the local cluster
	bin/ais dev down --dir $(DATA)/cluster

ci: ## run what CI runs
	.ci/run

clean: ## remove binaries (never data)
	rm -rf bin
