#!/usr/bin/env bash
# What an event costs on one node, two and three, at the same load on this machine, with the load generator beside them:
#   scripts/bench-cluster.sh [RATE] [SECONDS] [ROUNDS]
# For each size fresh PostgreSQL and Redis servers are started on loopback. With more than one round the sizes take turns, and the
# medians are printed too.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -x bin/pactwire ]] || make -s build
echo "$(nproc) cores, $(uname -sr), $(bin/pactwire version)"
go run ./test/cluster -bench -nodes 3 -rate "${1:-1000}" -for "${2:-30}s" -rounds "${3:-1}"
