SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The steps share the engine, the compiler and the npm folder: one after the other.
.NOTPARALLEL:
.DELETE_ON_ERROR:

GO ?= go
NPM := npm --prefix frontend --no-audit --no-fund --loglevel error
# Where tools of this repository are kept; it may be removed at any time.
CACHE := .cache
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)
GOTESTSUM_VERSION := v1.13.0
GOTESTSUM := $(CACHE)/bin/gotestsum-$(GOTESTSUM_VERSION)

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse -q --verify HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# npm writes this file last.
MODULES := frontend/node_modules/.package-lock.json
PAGES := frontend/dist/index.html
# What the pages are made of. The folders are listed too: their times tell of removed files.
PAGES_SOURCES := schema.graphql frontend/package.json frontend/package-lock.json \
	$(wildcard frontend/*.html frontend/*.ts frontend/*.js frontend/*.mjs frontend/tsconfig*.json) \
	$(shell find frontend/src frontend/public ! -name '*.test.ts' ! -name '*.test.tsx' 2>/dev/null)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: compiler engine build ## Everything to a running product, with an engine and an image to start from
	@scripts/starter-image.sh
	@exec scripts/with-engine.sh bin/mlride serve

.PHONY: build
build: compiler $(PAGES) ## The whole product, pages included, into bin/mlride
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/mlride ./cmd/mlride

$(MODULES): frontend/package.json frontend/package-lock.json
	@echo "Installing the pages' packages (about 25 s)."
	@$(NPM) ci
	@touch $@

$(PAGES): $(MODULES) $(PAGES_SOURCES)
	@echo "Building the pages (about 15 s)."
	@$(NPM) run build
	@touch $@

.PHONY: compiler
compiler:
	@scripts/compiler.sh

.PHONY: engine
engine: ## Make sure that a container engine answers; installs and starts one if need be
	@scripts/engine.sh

.PHONY: generate
generate: $(MODULES) ## Generate ent, gqlgen and the pages' types anew
	@$(GO) generate ./ent ./graph
	@$(NPM) run generate

.PHONY: check-generated
check-generated: ## Fail if generated files are not what generate makes
	@scripts/check-generated.sh

.PHONY: migration
migration: ## Write the next migration from ent/schema: make migration NAME=add_colour
	@test -n "$(NAME)" || { echo "Give it a name: make migration NAME=add_colour" >&2; exit 2; }
	@$(GO) run -mod=mod ent/migrate/main.go $(NAME)

.PHONY: test
test: test-deps test-go test-web e2e ## Everything: Go, pages, and the whole product with browser and examples

.PHONY: test-deps
test-deps:
	@scripts/test-deps.sh

# CI runs a test that failed once more and names it in its report: three of them
# at most, and none after a data race. Elsewhere a failure is a failure at once.
ifeq ($(CI),true)
ONCE_MORE := $(GOTESTSUM)
GO_TEST = $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --rerun-fails=1 --rerun-fails-max-failures=3 \
	--rerun-fails-abort-on-data-race --rerun-fails-run-root-test --rerun-fails-report $(CACHE)/flaky.txt --packages ./... --
else
GO_TEST = $(GO) test ./...
endif

.PHONY: test-go
test-go: test-deps $(ONCE_MORE) ## Go tests with the race detector, against the real engine
	@rm -f $(CACHE)/flaky.txt
	scripts/with-engine.sh $(GO_TEST) -race -p 2 -timeout 20m
	@if [ -s $(CACHE)/flaky.txt ]; then echo "Tests that passed only when run once more:"; cat $(CACHE)/flaky.txt; fi
	TZ=Asia/Shanghai $(GO) test -race -timeout 10m ./internal/store/...

.PHONY: test-web
test-web: $(MODULES) ## Types, lint and unit tests of the pages
	$(NPM) run check
	$(NPM) run lint
	$(NPM) run test

.PHONY: e2e
e2e: test-deps build ## Browser tests and examples against bin/mlride
	scripts/e2e.sh

.PHONY: lint
lint: compiler $(GOLANGCI) $(MODULES) ## All linters; installs golangci-lint the first time (about 2 min)
	$(GO) vet ./...
	$(GOLANGCI) run
	$(GOLANGCI) fmt --diff
	$(NPM) run check
	$(NPM) run lint

.PHONY: format
format: $(GOLANGCI) ## Format the Go files
	$(GOLANGCI) fmt

$(GOTESTSUM):
	@echo "Installing gotestsum $(GOTESTSUM_VERSION), once."
	@GOBIN=$(abspath $(CACHE)/bin) $(GO) install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	@mv $(CACHE)/bin/gotestsum $@

$(GOLANGCI):
	@echo "Installing golangci-lint $(GOLANGCI_VERSION), once (about 2 min)."
	@GOBIN=$(abspath $(CACHE)/bin) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(CACHE)/bin/golangci-lint $@

.PHONY: bench
bench: compiler engine build ## Measure against the raw engine; prints one table of ratios (ONLY=list,stats measures those parts)
	@STARTER=busybox MLRIDE_STARTER_IMAGE=mlride-starter:test scripts/starter-image.sh
	@scripts/with-engine.sh $(GO) run ./bench $(if $(ONLY),-only $(ONLY))

.PHONY: dev
dev: compiler engine build ## The server, and the pages reloading as they change
	@exec scripts/dev.sh

.PHONY: clean
clean: ## Remove what was built; data and the engine stay
	rm -rf bin $(CACHE) frontend/dist frontend/node_modules frontend/test-results frontend/playwright-report
