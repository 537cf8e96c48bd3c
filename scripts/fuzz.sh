#!/usr/bin/env bash
# Runs every fuzz test of the module for the given time each: scripts/fuzz.sh 30s [PACKAGE…]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
shift || true
for package in $(go list "${@:-./...}"); do
	for name in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
	done
done
