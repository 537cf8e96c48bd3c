#!/usr/bin/env bash
# The budget, measured on this machine with the server and the generator beside each other:
#   scripts/bench.sh bin/pactwire [RUNS]
# Each line is a fresh server on fresh data. With the environment as it is, RUNS (3) times each.
set -euo pipefail
bin=$(realpath "$1")
runs=${2:-3}
dir=$(mktemp -d)
server=
finish() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT

port() { # a free port, of loopback
	/usr/bin/python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'
}
export PACTWIRE_MQTT__TCP=127.0.0.1:$(port) PACTWIRE_MQTT__WS=127.0.0.1:$(port) PACTWIRE_HTTP__ADDR=127.0.0.1:$(port)
export PACTWIRE_AUTH__JWT__SECRET=bench-0123456789-0123456789-0123456789 PACTWIRE_LOG__LEVEL=warn
export PACTWIRE_LIMITS__CONNECTS_PER_SECOND=0 PACTWIRE_LIMITS__COMMANDS_PER_SECOND=0 PACTWIRE_LAB__ENABLED=true

fresh() { # fresh PACTS [MEMBERS]: a new server with that many pacts, of 2 by default
	if [[ -n $server ]]; then
		kill "$server"
		wait "$server" || true
	fi
	rm -rf "$dir/data"
	export PACTWIRE_DATA_DIR=$dir/data
	(cd "$dir" && exec "$bin" serve) &
	server=$!
	for _ in $(seq 100); do
		if curl -sf -o /dev/null "http://$PACTWIRE_HTTP__ADDR/readyz"; then
			"$bin" bench prepare --pacts "$1" --members "${2:-2}" --out "$dir/members"
			return
		fi
		sleep 0.1
	done
	echo "the server did not become ready" >&2
	return 1
}
run() { "$bin" bench run --file "$dir/members" --pid "$server" "$@"; }

echo "$(nproc) cores, $(uname -sr), $("$bin" version)"
for transport in tcp ws; do
	for rate in 500 5000; do
		for _ in $(seq "$runs"); do
			fresh 1000
			run --rate $rate --duration 10s --transport $transport
			echo
		done
	done
	for _ in $(seq "$runs"); do
		fresh 1000
		run --scenario idle --connections 10000 --transport $transport
		echo
	done
done
for _ in $(seq "$runs"); do
	fresh 1000
	run --scenario reconnect --connections 5000
	echo
done
for scenario in "storm" "evening --rate 300 --duration 30s"; do
	for _ in $(seq "$runs"); do
		fresh 1000
		# shellcheck disable=SC2086 # words on purpose
		run --scenario $scenario
		echo
	done
done
for _ in $(seq "$runs"); do
	fresh 1 6
	run --scenario busy --rate 500 --duration 10s
	echo
done
for _ in $(seq "$runs"); do
	fresh 1
	run --scenario fanout --connections 1000 --duration 5s
	echo
done
