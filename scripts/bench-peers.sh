#!/usr/bin/env bash
# Pactwire beside brokers that only relay, by turns on this machine, with the load generator beside them:
#   scripts/bench-peers.sh [RUNS]
# The peers are mosquitto and the MQTT library with nothing around it. Medians of RUNS (3) rounds; each figure of a round is of
# a fresh server. The peers check nobody and keep nothing; Pactwire commits each check-in before its ack.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3}
PATH=$PATH:/usr/sbin # where Debian keeps mosquitto
dir=$(mktemp -d)
server=
finish() {
	stop
	rm -rf "$dir"
}
stop() {
	[[ -n $server ]] || return 0
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
trap finish EXIT
go build -trimpath -o "$dir/pactwire" ./cmd/pactwire
go build -trimpath -o "$dir/bare" ./broker/bare

port() { # a free port, of loopback
	/usr/bin/python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'
}
mqtt=$(port) http=127.0.0.1:$(port)
export PACTWIRE_MQTT__TCP=127.0.0.1:$mqtt PACTWIRE_MQTT__WS= PACTWIRE_HTTP__ADDR=$http PACTWIRE_DATA_DIR=$dir/data
export PACTWIRE_AUTH__JWT__SECRET=bench-0123456789-0123456789-0123456789 PACTWIRE_LOG__LEVEL=warn
export PACTWIRE_LIMITS__CONNECTS_PER_SECOND=0 PACTWIRE_LIMITS__COMMANDS_PER_SECOND=0 PACTWIRE_LAB__ENABLED=true
printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 100\n' "$mqtt" >"$dir/mosquitto.conf"

open() { # open NAME: a fresh server
	stop
	rm -rf "$dir/data"
	case $1 in
	mosquitto) mosquitto -c "$dir/mosquitto.conf" >/dev/null 2>&1 & ;;
	bare) GOGC=400 "$dir/bare" "127.0.0.1:$mqtt" & ;;
	pactwire) "$dir/pactwire" serve & ;;
	esac
	server=$!
	for _ in $(seq 100); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$mqtt") 2>/dev/null; then
			[[ $1 != pactwire ]] || "$dir/pactwire" bench prepare --pacts 1000 --out "$dir/members"
			return
		fi
		sleep 0.1
	done
	echo "$1 did not listen on port $mqtt" >&2
	return 1
}
run() { # run NAME FLAGS: one report as a line of JSON
	local name=$1
	shift
	open "$name"
	printf '%s\t' "$name" >>"$dir/reports"
	"$dir/pactwire" bench run --file "$dir/members" --pid "$server" --json "$@" >>"$dir/reports"
}

echo "$(nproc) cores, $(uname -sr), $("$dir/pactwire" version), $(mosquitto -h | sed q)"
for _ in $(seq "$runs"); do
	for name in pactwire mosquitto bare; do # pactwire first: it makes the members
		scenario=relay
		[[ $name != pactwire ]] || scenario=pairs
		run $name --scenario $scenario --rate 500 --duration 8s
		run $name --scenario $scenario --rate 5000 --duration 5s
		run $name --scenario reconnect --connections 5000
		run $name --scenario fanout --connections 1000 --duration 4s
	done
done
stop
/usr/bin/python3 - "$dir/reports" <<'PY'
import json, statistics, sys

figures = {}  # (what, name) -> list
for line in open(sys.argv[1]):
    name, report = line.rstrip("\n").split("\t")
    r = json.loads(report)
    what = r["scenario"]
    if what in ("pairs", "relay"):
        rate = f"{r['targetRate']:.0f}/s"
        found = {f"{rate}: p99 to the partner, ms": r["delivery"]["p99Ms"], f"{rate}: CPU s for 1,000": r["cpuSecondsPer1000"]}
        if r["lost"] or r["duplicates"]:
            found[f"{rate}: lost or twice"] = r["lost"] + r["duplicates"]
        if r["ceiling"]:
            found[f"{rate}: runs in which the generator was late"] = 1
    elif what == "reconnect":
        found = {"5,000 back, s": statistics.median(r["seconds"])}
    else:
        found = {"fan-out to 1,000, deliveries/s": r["deliveriesPerSecond"]}
    for key, v in found.items():
        figures.setdefault(key, {}).setdefault(name, []).append(v)

names = ["pactwire", "mosquitto", "bare"]
print(f"{'median':44}" + "".join(f"{n:>12}" for n in names))
for key, by in figures.items():
    cell = lambda v: f"{len(v) if 'runs' in key else statistics.median(v):12,.3g}" if v else f"{'–':>12}"
    print(f"{key:44}" + "".join(cell(by.get(n)) for n in names))
PY
