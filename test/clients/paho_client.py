"""A subscriber or publisher made with python3-paho-mqtt.

sub TRANSPORT HOST PORT VERSION USER TOKEN TOPIC            prints each payload on a line, until it is told to end
pub TRANSPORT HOST PORT VERSION USER TOKEN TOPIC PAYLOAD    exits 0 after the PUBACK
"""
import sys

import paho.mqtt.client as mqtt

what, transport, host, port, version, user, token, topic, *payload = sys.argv[1:]
client = mqtt.Client(
    client_id=f"{user}-py-{what}",
    protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311,
    transport="websockets" if transport == "ws" else "tcp",
)
if transport == "ws":
    client.ws_set_options(path="/mqtt")
client.username_pw_set(user, token)


def fail(why):
    print(why, file=sys.stderr, flush=True)
    sys.exit(1)


def on_connect(client, _userdata, _flags, code, *_properties):
    if code != 0:
        fail(f"connection refused: {code}")
    if what == "sub":
        client.subscribe(topic, qos=1)
    else:
        client.publish(topic, payload[0], qos=1)


def on_subscribe(_client, _userdata, _mid, codes, *_properties):
    if any(int(getattr(c, "value", c)) > 2 for c in codes):
        fail(f"subscription refused: {codes}")


client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = lambda _client, _userdata, m: print(m.payload.decode(), flush=True)
client.on_publish = lambda client, _userdata, _mid: client.disconnect()
client.connect(host, int(port))
client.loop_forever()
