#!/usr/bin/env bash
# Sees to it that what the tests need is here: MQTT clients made by others, Node for mqtt.js, PostgreSQL and Redis. As root
# on Debian it installs what is missing; anyone else is told what to install. Nothing is done when all is there. Debian may
# start the installed servers; the tests start their own, on other ports, and do not touch those.
#   scripts/deps.sh [PACKAGE...]
# sees to those packages too, whose command has the package's name.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
shopt -s nullglob
for bin in /usr/lib/postgresql/*/bin /usr/sbin; do PATH=$PATH:$bin; done # Debian keeps servers out of a user's PATH
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null || missing+=("$2")
}
need mosquitto_sub mosquitto-clients
need paho_c_sub paho.mqtt.c-examples
need node nodejs
need npm npm
need redis-server redis-server
need redis-cli redis-tools
need postgres postgresql
need psql postgresql-client
for package; do need "$package" "$package"; done
/usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing+=(python3-paho-mqtt)

if ((${#missing[@]})); then
	if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
		echo "installing ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	else
		{
			echo "The tests need these Debian packages, which are not installed:"
			printf '  %s\n' "${missing[@]}"
			echo "Install them, for example with: sudo apt-get install ${missing[*]}"
		} >&2
		exit 1
	fi
fi

# mqtt.js, as locked.
js=test/clients/js
if [[ -f $js/package-lock.json ]] && ! cmp -s $js/package-lock.json $js/node_modules/.installed; then
	npm ci --prefix $js --no-audit --no-fund --loglevel=error
	cp $js/package-lock.json $js/node_modules/.installed
fi
