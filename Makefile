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
DEMO ?= cp-rmnode-rebalance
# For example BENCHFLAGS='-time 500ms -concurrency 32 -ops put,get', or -json; see docs/benchmarks.md.
BENCHFLAGS ?=
SIMFLAGS ?=

.PHONY: help run build test sim test-linear-long test-fault-long test-tree race lint fuzz bench bench-s3 bench-rebalance demo test-clients test-s3tests cluster-up cluster-down ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, start a whole store in one process in ./data (DATA=DIR, PORT=N); it prints its endpoint and what to try
	@exec bin/aisnode --dir $(DATA) --port $(PORT)

build: ## leave the static binaries in bin/: aisnode, ais, aisloader
	@mkdir -p bin
	$(if $(CMDS),CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(CMDS:%=./%),@echo "build: no commands yet")

test: ## vet and test everything, SDK included (it makes .venv itself); this is what CI runs
	@GO='$(GO)' .ci/test

race: ## run the tests that stay in one process under the race detector
	@GO='$(GO)' CGO_ENABLED=1 .ci/test -race

sim: ## simulate 100,000 clusters that nobody has seen before, and break every rule in 500 (SIMFLAGS='-base N -seeds N')
	$(GO) test -count=1 -v -timeout 60m ./test/sim -run 'TestFresh|TestFaults|TestPage' -seeds 100000 $(SIMFLAGS)

test-linear-long: ## look for an order of 100,000 requests per cluster
	AIS_LONG=1 $(GO) test -count=1 -v -timeout 30m ./test/linear

test-fault-long: ## kill, pause, cut off, starve and damage nodes, many rounds of each (root for the full disk and the cuts)
	AIS_LONG=1 $(GO) test -count=1 -v -timeout 90m ./test/fault

test-tree: ## put Go's source tree and a 1 GiB file in and read them back
	AIS_LONG=1 $(GO) test -count=1 -v -timeout 30m ./test/tree


lint: ## run golangci-lint with .golangci.yml, building it into .cache/bin if it is not installed
	@GO='$(GO)' .ci/lint

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

bench: build ## measure against nginx: operations/s, p50, p99 and server CPU per operation, as ratios
	$(GO) run ./test/bench $(BENCHFLAGS)

bench-s3: build ## the same in the S3 dialect, signed and through the gateway, beside nginx and, where it is in PATH, MinIO
	$(GO) run ./test/bench -s3 -sizes 4KiB,64KiB,1MiB,16MiB -ops put,get,head,delete,list,multipart $(BENCHFLAGS)

bench-rebalance: build ## bytes moved per second while a target joins and leaves, beside cp -r on the same disk, and what clients notice
	$(GO) run ./test/bench/rebalance $(BENCHFLAGS)

demo: ## what clients notice while nodes and disks come and go: DEMO=cp-rmnode-rebalance, grow-shrink or lose-mountpath
	$(GO) run ./deploy/demo $(DEMOFLAGS) $(DEMO)

test-clients: ## S3 clients that take long: PyTorch with s3torchconnector, Spark, larger files (installs some GB into .venv)
	AIS_LONG=1 $(GO) test -count=1 -v -timeout 60m ./test/s3clients

test-s3tests: ## the public ceph/s3-tests suite: S3TESTS_DIR=checkout S3TESTS_RUNNER=script [S3TESTS_LIST=file], see test/s3tests
	$(GO) test -count=1 -v -timeout 45m ./test/s3tests

cluster-up: build ## start a local cluster, the one in DATA or a new one: 1 gateway, 3 targets with 2 mountpaths each (DATA=DIR, PORT=N)
	bin/ais dev up $(if $(filter-out 8080,$(PORT)),--port $(PORT)) --dir $(DATA)/cluster

cluster-down: ## stop the local cluster
	bin/ais dev down --dir $(DATA)/cluster

ci: ## run what CI runs: every fuzz target, then all tests
	.ci/run

clean: ## remove binaries (never data)
	rm -rf bin
