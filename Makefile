# make build   the kferry binary in bin/
# make test    linting, then all tests, on real brokers too, with the race detector
# make demo    kferry between two clusters inside one process, under a minute
# make bench   kferry, MirrorMaker 2 and others in turn on real brokers: an hour
# make carry   ten million records, kferry killed every few seconds, all compared
# make trials  the fault lab: real brokers, links and kferry fail, N=30 trials of every row
#              or of ROWS=kill,zombie; taken up where it was left, result in docs/reliability.md
# make sim     SEEDS=1000000 random worlds around one partition's decisions, minutes
# make lint    what make test checks before it runs anything

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := bin/staticcheck-v0.8.2
GOVULNCHECK := bin/govulncheck-v1.8.0

.PHONY: build test demo bench carry trials sim lint fmt vet staticcheck vuln clean FORCE

build: bin/kferry

bin/kferry: FORCE
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/kferry

demo: build
	bin/kferry demo

bench:
	go run ./internal/bench

carry:
	go run ./test/carry

N ?= 30
ROWS ?=

trials:
	go run ./test/trials -n $(N) -rows "$(ROWS)"

SEEDS ?= 1000000

sim:
	go run ./internal/sim -seeds $(SEEDS)

# All tests, those on real brokers as well. Two packages at a time, because each
# may run several Java processes; -count=1, because what a broker does is no
# part of Go's test cache. The race detector needs a C compiler.
RACE = $$(if command -v "$$(go env CC)" >/dev/null; then echo -race; else echo "no C compiler: tests run without the race detector" >&2; fi)

test: lint
	go test $(RACE) -count=1 -p 2 -vet=off -timeout 40m ./...

lint: fmt vet staticcheck vuln

fmt:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted >&2; exit 1; }

vet:
	go vet ./...

staticcheck: $(STATICCHECK)
	$(STATICCHECK) ./...

vuln:
	@if ! command -v curl >/dev/null; then \
		echo "govulncheck not run: curl is missing, which tells whether its database can be reached"; \
	elif curl -fsS -o /dev/null --max-time 10 https://vuln.go.dev/index/db.json 2>/dev/null; then \
		$(MAKE) --no-print-directory $(GOVULNCHECK) && $(GOVULNCHECK) ./...; \
	else \
		echo "govulncheck not run: its database https://vuln.go.dev cannot be reached from here"; \
	fi

$(STATICCHECK):
	GOBIN=$(CURDIR)/bin/tools go install honnef.co/go/tools/cmd/staticcheck@v0.8.2
	mv bin/tools/staticcheck $@

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/bin/tools go install golang.org/x/vuln/cmd/govulncheck@v1.8.0
	mv bin/tools/govulncheck $@

clean:
	rm -rf bin
