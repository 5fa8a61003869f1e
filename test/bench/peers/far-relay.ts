import { connect, createServer, type Socket } from "node:net";
import { say } from "../../../functions/report/log.ts";

// Makes a relay on this machine as far away as one at a provider: what passes is held back, each way, in its order.
// usage: node far-relay.ts PORT RELAY-PORT MILLISECONDS
const [port = "", relayPort = "", milliseconds = ""] = process.argv.slice(2);

// Timers of one length fire in the order in which they were set.
const pass = (from: Socket, to: Socket) => {
  const later = (act: () => void) => setTimeout(act, Number(milliseconds));
  from.setNoDelay(true);
  from.on("data", (chunk) => later(() => to.write(chunk)));
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
};

const server = createServer({ allowHalfOpen: true }, (client) => {
  const relay = connect({ port: Number(relayPort), host: "127.0.0.1", allowHalfOpen: true });
  pass(client, relay);
  pass(relay, client);
});
server.listen(Number(port), "127.0.0.1", () => say('{"event":"started"}'));
process.once("SIGTERM", () => process.exit(0));
