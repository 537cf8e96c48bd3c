#!/usr/bin/env bash
# gofmt, go vet, golangci-lint at a pinned version, and a check that no module needs a newer Go than ours.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v2.15.0
tool=.cache/golangci-lint/$version-$(go env GOVERSION)/golangci-lint
if [[ ! -x $tool ]]; then
	echo "building golangci-lint $version, once; it takes a few minutes"
	GOFLAGS='' GOBIN=$PWD/$(dirname "$tool") go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version
fi

unformatted=$(git ls-files -co --exclude-standard -- '*.go' | xargs -r gofmt -l)
if [[ -n $unformatted ]]; then
	echo "not formatted by gofmt:" >&2
	echo "$unformatted" >&2
	exit 1
fi

ours=$(go env GOVERSION)
ours=${ours#go}
newer=$(go list -m -f '{{if .GoVersion}}{{.GoVersion}} {{.Path}}@{{.Version}}{{end}}' all |
	while read -r go module; do
		if [[ $(printf '%s\n%s\n' "$go" "$ours" | sort -V | tail -1) != "$ours" ]]; then
			echo "  $module needs Go $go"
		fi
	done)
if [[ -n $newer ]]; then
	echo "modules that need a newer Go than $ours:" >&2
	echo "$newer" >&2
	exit 1
fi

go vet ./...
$tool run --allow-serial-runners ./... # another run on this machine is waited for
