// A subscriber or publisher made with mqtt.js:
//   node client.mjs sub URL VERSION USER TOKEN TOPIC     prints each payload on a line, until it is told to end
//   node client.mjs pub URL VERSION USER TOKEN TOPIC PAYLOAD     exits 0 after the PUBACK
import mqtt from "mqtt";

const [, , what, url, version, user, token, topic, payload] = process.argv;
const client = mqtt.connect(url, {
  protocolVersion: Number(version),
  username: user,
  password: token,
  clientId: `${user}-js-${what}`,
  reconnectPeriod: 0,
});

function fail(err) {
  console.error(String(err));
  process.exit(1);
}

client.on("error", fail);
if (what === "sub") {
  client.on("message", (_topic, message) => console.log(message.toString()));
  client.on("connect", () =>
    client.subscribe(topic, { qos: 1 }, (err, granted) => {
      if (err || granted.some((g) => g.qos > 2)) fail(err ?? "refused");
    }),
  );
} else {
  client.on("connect", () =>
    client.publish(topic, payload, { qos: 1 }, (err) => (err ? fail(err) : client.end(false, {}, () => process.exit(0)))),
  );
}
