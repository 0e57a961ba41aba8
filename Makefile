# NixSpace. `make` prints the targets. Two of them are all that is ever needed:
# `make run` and `make test`; both do their own set-up.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
GO          ?= go
GOTOOL      := $(GO) tool -modfile=tools/go.mod
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -s -w -X main.version=$(VERSION)
RUNFLAGS    ?=
TESTFLAGS   ?=

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup build ## Set up, build and start NixSpace; on an empty state this runs the quick start
	bin/nixspace up $(RUNFLAGS)

.PHONY: test
test: setup-test build ## Set up and run every test, those with real VMs and real Nix included
	scripts/test $(TESTFLAGS)

.PHONY: check
check: ui/node_modules/.installed ui/code/node_modules/.installed ## Run linters and checks that need no VM: style, imports, generated files, host names
	scripts/check

.PHONY: build
build: bin/nixspace-agent bin/nixspace-guest ui/dist/site/index.html ui/dist/code/index.html.gz ## Build bin/nixspace, with the programs for guests and the web interface that it carries
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/nixspace ./cmd/nixspace

# The agent goes into the guest's initramfs, so it must be static.
.PHONY: bin/nixspace-agent
bin/nixspace-agent:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/nixspace-agent
	gzip -dc vm/image/agent/nixspace-agent.gz 2>/dev/null | cmp -s - $@ || gzip -9nc $@ >vm/image/agent/nixspace-agent.gz

# What the server puts into guests when it is needed there.
.PHONY: bin/nixspace-guest
bin/nixspace-guest:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/nixspace-guest
	gzip -dc app/helper/bin/nixspace-guest.gz 2>/dev/null | cmp -s - $@ || gzip -9nc $@ >app/helper/bin/nixspace-guest.gz

# npm is asked only when what the lock file says changed, and not for its date:
# npm ci begins by deleting what is there.
ui/node_modules/.installed: ui/package-lock.json
	cmp -s ui/package-lock.json $@ || (cd ui && npm ci --prefer-offline --no-audit --no-fund --loglevel error)
	cp ui/package-lock.json $@

ui/dist/site/index.html: ui/node_modules/.installed ui/index.html ui/vite.config.ts $(shell find ui/src ui/public ui/scripts -type f ! -name types.ts)
	cd ui && npm run --silent build

ui/code/node_modules/.installed: ui/code/package-lock.json
	cd ui/code && npm ci --prefer-offline --no-audit --no-fund --loglevel error
	touch $@

ui/dist/code/index.html.gz: ui/code/node_modules/.installed ui/code/index.html ui/code/vite.config.ts ui/src/features/terminal/link.ts $(shell find ui/code/src ui/code/public ui/code/scripts -type f)
	cd ui/code && npm run --silent build

.PHONY: dev
dev: setup build ## Start a server for development: own state in .state, debug logs, no quick start
	bin/nixspace up --state .state --no-quickstart --log-level debug $(RUNFLAGS)

.PHONY: bench
bench: setup build ## Run the benchmarks and keep their raw data in bench/data
	scripts/bench

.PHONY: e2e
e2e: setup build ## Run only the whole-system tests: the real binary, real VMs
	$(GO) test -count=1 -tags system -timeout 30m -v ./test/system/...

.PHONY: generate
generate: ## Write generated code and documents again
	$(GO) generate ./...

.PHONY: setup
setup: ## Install what is missing on this machine, or say what that is
	@scripts/setup

# What tests need comes on top.
.PHONY: setup-test
setup-test:
	@scripts/setup test
