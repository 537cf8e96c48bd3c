#!/bin/sh
# One press of a button, with mosquitto_pub: for a script, a key of a keyboard, a GPIO pin of a small Linux machine.
#
#   export BUTTON_DEVICE=AaIUZXg-dGqyPBP5dBd8DA BUTTON_SECRET=…      from: pactwire device add PACT
#   examples/button.sh [done|partial|skipped]
#
# A press that cannot be sent is kept, and goes out with the next one, as a batch in which each tells how long ago it was.
# BUTTON_HOST (127.0.0.1) and BUTTON_PORT (1883) name the server, BUTTON_STATE a folder of its own. Further
# arguments for mosquitto_pub, such as --cafile ca.pem, go into BUTTON_MOSQUITTO.
#
# Exit: 0 all is committed on the server, 1 kept for later, 2 wrong usage.
set -eu

status=${1:-done}
case $status in
	done) status=completed ;;
	completed | partial | skipped) ;;
	*) echo "button.sh: say done, partial or skipped" >&2; exit 2 ;;
esac
if [ -z "${BUTTON_DEVICE:-}" ] || [ -z "${BUTTON_SECRET:-}" ]; then
	echo "button.sh: set BUTTON_DEVICE and BUTTON_SECRET" >&2
	exit 2
fi
state=${BUTTON_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/pactwire-button}
umask 077
mkdir -p "$state"
queue=$state/queue

# One at a time: two presses at once must not send, or drop, each other's.
exec 9>"$state/lock"
flock 9

# The id makes it harmless to send a press again when only its acknowledgement was lost.
echo "$(cat /proc/sys/kernel/random/uuid) $(date +%s) $status" >>"$queue"

# mosquitto_pub reads what is secret from a file: arguments can be seen by everybody on the machine.
printf -- '-u device:%s\n-P %s\n' "$BUTTON_DEVICE" "$BUTTON_SECRET" >"$state/mosquitto_pub"

# A batch holds 200 at most.
while [ -s "$queue" ]; do
	batch=$(head -n 200 "$queue" | awk -v now="$(date +%s)" '
		{ age = (now - $2) * 1000; if (age < 0) age = 0
		  printf "%s{\"id\":\"%s\",\"status\":\"%s\",\"ageMs\":%.0f}", (NR > 1 ? "," : "["), $1, $3, age }
		END { print "]" }')
	# shellcheck disable=SC2086  # the further arguments are several words
	if ! printf %s "$batch" | XDG_CONFIG_HOME=$state mosquitto_pub -h "${BUTTON_HOST:-127.0.0.1}" -p "${BUTTON_PORT:-1883}" \
		-t "devices/$BUTTON_DEVICE/checkins" -q 1 -s ${BUTTON_MOSQUITTO:-}; then
		echo "button.sh: kept for later" >&2
		exit 1
	fi
	tail -n +201 "$queue" >"$queue.rest"
	mv "$queue.rest" "$queue"
done
