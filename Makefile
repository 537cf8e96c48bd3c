# What can be done here: make help
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-builtin-rules

BIN      := bin/pactwire
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s
ROUNDS   ?= 20
SEEDS    ?= 20

.PHONY: help run cluster build test test-deps chaos chaos-crash chaos-habits lint fuzz bench bench-cluster bench-peers clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the demo: two people, one pact, and what to paste into two terminals
	./$(BIN) serve --demo

cluster: test-deps build ## three nodes, PostgreSQL, Redis and a habits-service behind a load balancer, and what to paste
	@go run ./test/cluster -binary $(BIN)

build: ## build bin/pactwire
	@mkdir -p bin
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN) ./cmd/pactwire

test-deps: ## install what the tests need (with apt, when root), or say what is missing
	@scripts/deps.sh

test: test-deps ## run all tests with the race detector, against real clients
	go test -race -shuffle=on -p 3 ./... # most of them wait: for disks, deadlines, other processes

chaos: test-deps ## break parts and links under load, by SEEDS=20 schedules, and check all that clients saw
	go test -race -count=1 -timeout 3h -v ./test/chaos -args -seeds $(SEEDS) -faults 12 -hold 8s

chaos-crash: test-deps ## kill the server in the middle of check-ins, ROUNDS=20 times
	go test -race -count=1 -timeout 60m ./test/crash -args -rounds $(ROUNDS)

chaos-habits: test-deps ## kill the habits-service for 30 s under 200 check-ins a second
	go test -race -count=1 -timeout 10m ./test/habits -args -outage 30s -rate 200

lint: ## gofmt, go vet, golangci-lint, and no dependency that needs a newer Go
	@scripts/lint.sh

fuzz: ## run every fuzz test for FUZZTIME=30s each
	@scripts/fuzz.sh $(FUZZTIME)

bench: build ## measure the budget with pactwire bench: rates, latency, memory, reconnects, fan-out
	@scripts/bench.sh $(BIN)

bench-peers: ## pactwire beside mosquitto and the bare MQTT library, by turns
	@scripts/deps.sh mosquitto
	@scripts/bench-peers.sh

bench-cluster: test-deps build ## what an event costs on one node, two and three
	@scripts/bench-cluster.sh

clean: ## remove what was built, and the tools in .cache
	rm -rf bin .cache test/clients/js/node_modules
