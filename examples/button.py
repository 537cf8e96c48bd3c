#!/usr/bin/env python3
"""A button in Python: each line of standard input is a press; what the server answers is printed.

    BUTTON_DEVICE=… BUTTON_SECRET=… examples/button.py        (from: pactwire device add PACT)

Needs paho-mqtt, 1.6 or 2. The session is kept (clean_session=False) and the library resends what was not acknowledged,
so a press survives a broken connection; it does not survive the end of this program. See button.sh for one that does.
"""

import json
import os
import sys
import threading
import uuid

import paho.mqtt.client as mqtt

device, secret = os.environ["BUTTON_DEVICE"], os.environ["BUTTON_SECRET"]
host, port = os.environ.get("BUTTON_HOST", "127.0.0.1"), int(os.environ.get("BUTTON_PORT", "1883"))
ready, waiting = threading.Event(), {}


def on_connect(client, userdata, flags, code, *_):
    if code != 0:
        print(f"refused: {code}", file=sys.stderr)
        os._exit(1)
    client.subscribe(f"devices/{device}/replies", qos=1)


def on_message(client, userdata, message):
    answer = json.loads(message.payload)
    data, done = answer["data"], waiting.get(answer["commandId"])
    if answer["type"] == "SERVER:CHECKIN_LOGGED":
        streak = data["streakUpdate"]
        print(f"{data['checkin']['status']} on {data['checkin']['localDate']}, streak {streak['after'] if streak else '?'}", flush=True)
    elif answer["type"] == "SERVER:CHECKIN_PENDING":
        return  # the answer is still to come
    else:
        print(f"{data['code']}: {data['message']}", flush=True)
    if done:
        done.set()


version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id="button", clean_session=False)
client.username_pw_set(f"device:{device}", secret)
client.on_connect, client.on_message = on_connect, on_message
client.on_subscribe = lambda *_: ready.set()
client.connect(host, port, keepalive=60)
client.loop_start()
if not ready.wait(30):
    sys.exit("no connection within 30 s")
for line in sys.stdin:
    word = line.strip() or "done"
    press = str(uuid.uuid4())
    waiting[press] = threading.Event()
    body = {"id": press, "status": "completed" if word == "done" else word}
    client.publish(f"devices/{device}/checkins", json.dumps(body), qos=1)
    if not waiting[press].wait(30):
        print("no answer yet", flush=True)
client.disconnect()
client.loop_stop()
