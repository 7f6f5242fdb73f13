# Everything a person or CI does with filewatch. Each target sets up what it needs.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
BUF         = $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
LDFLAGS     = -X main.version=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: need-run build ## mirror one local directory to another, and print what happens
	@sh examples/quickstart/run.sh bin/filewatch

.PHONY: test
test: need-test ## run every test, with the race detector, and thousands of seeds of the simulation without
	$(GO) test -race -timeout 9m ./...
	FILEWATCH_SEEDS=3000 $(GO) test -timeout 5m -run 'TestSimulation$$' ./core

.PHONY: check
check: need-go ## formatting, vet, staticcheck, generated code, import rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff
	sh .ci/check-imports
	$(MAKE) --no-print-directory generate
	@git diff --exit-code -- '*.pb.go' || { echo "generated code is out of date: commit what make generate wrote"; exit 1; }

.PHONY: build
build: need-go ## build bin/filewatch
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/filewatch ./core/cmd/filewatch

.PHONY: install
install: ## install filewatch to $(PREFIX)/bin, built before if it is not yet
	@test -x bin/filewatch || $(MAKE) --no-print-directory build
	install -D -m 0755 bin/filewatch $(DESTDIR)$(PREFIX)/bin/filewatch

.PHONY: bench
bench: need-bench build ## measure filewatch beside the script, lsyncd and rsync, into docs/benchmarks.md: about half an hour
	$(GO) build -trimpath -o bin/bench ./core/internal/bench
	bin/bench bin/filewatch docs

.PHONY: bench-go
bench-go: need-test ## the packages' own benchmarks
	$(GO) test -run '^$$' -bench . ./...

.PHONY: bench-watch
bench-watch: need-watch build ## measure the watchers on large trees beside inotifywait and find: about five minutes
	$(GO) build -trimpath -o bin/watchbench ./plugins/internal/watchbench
	bin/watchbench bin/filewatch

.PHONY: soak
soak: need-test ## the random tests with many seeds: about two hours
	FILEWATCH_SEEDS=1000 $(GO) test -timeout 1h -run Oracle ./plugins/...
	FILEWATCH_SEEDS=100000 $(GO) test -timeout 2h -run 'TestSimulation$$' ./core
	FILEWATCH_SEEDS=50 $(GO) test -timeout 1h -run 'TestChurn(DuringTransfers)?$$' ./plugins/rsync
	FILEWATCH_SEEDS=200 $(GO) test -timeout 3h -run 'Churn|Kills' ./core/cmd/filewatch
	$(GO) test -timeout 1h -run Rsync ./sdk/filter -filter.lists=5000

.PHONY: generate
generate: need-go ## write the code that comes from the proto file
	cd sdk/wire && $(BUF) lint && $(BUF) generate

.PHONY: clean
clean: ## remove what was built
	rm -rf bin examples/quickstart/source examples/quickstart/mirror examples/quickstart/state

# The tools a target needs, installed where they are missing.
.PHONY: need-go need-run need-test need-bench need-watch
need-go:
	@command -v $(GO) >/dev/null || { echo "filewatch is built with Go 1.26 or newer: install it from https://go.dev/dl"; exit 1; }
need-run: need-go
	@sh .ci/need rsync
need-test: need-go
	@sh .ci/need rsync ssh sshd cc bindfs mkfs.ext4 inotifywait find
need-bench: need-go
	@sh .ci/need rsync ssh sshd inotifywait lsyncd git
need-watch: need-go
	@sh .ci/need inotifywait find
