import { connect } from "node:net";
import { say } from "../../../functions/report/log.ts";

// Posts one alert after the other on each of many connections that are kept, and prints what came of it as JSON.
// usage: node http-load.ts PORT CONNECTIONS SECONDS TOKEN SERIES
const [port = "", connections = "", seconds = "", token = "", series = ""] = process.argv.slice(2);

let next = 0;
const request = (): string => {
  const id = `${series}-${next++}`.padStart(8, "0");
  const body = JSON.stringify({
    v: 1,
    id,
    source: "nagios",
    monitor: { id: "monitor1", start: 1000 },
    type: "PROBLEM",
    object: { host: "farm01", service: id },
    state: "CRITICAL",
    state_type: "HARD",
    problem: { id: "5", epoch: 99_990 },
    notification: { id, number: 1 },
    recipients: [{ name: "oncall", email: "oncall@example.com" }],
    output: "CRITICAL - Socket timeout after 10 seconds",
    time: 100_000,
  });
  return [
    "POST /v1/alerts HTTP/1.1",
    "Host: bench",
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
};

const latencies: number[] = [];
// Code that is compiled at the first requests is paid once: the first second is not counted.
const began = performance.now() + 1000;
const end = began + Number(seconds) * 1000;

/** One connection until the time is over; rejects for any answer but 202. */
const post = () =>
  new Promise<void>((done, failed) => {
    const socket = connect(Number(port), "127.0.0.1");
    let [answer, sentAt] = ["", 0];
    const send = () => {
      sentAt = performance.now();
      socket.write(request());
    };
    socket
      .setNoDelay(true)
      .setEncoding("latin1")
      .setTimeout(30_000, () => socket.destroy(new Error("no answer")));
    socket.once("error", failed);
    socket.once("close", () => failed(new Error("the server closed a connection")));
    socket.once("connect", send);
    socket.on("data", (chunk) => {
      answer += chunk;
      const head = answer.indexOf("\r\n\r\n");
      if (head < 0) return;
      const [, length = "0"] = /content-length: (\d+)/i.exec(answer.slice(0, head)) ?? [];
      if (answer.length < head + 4 + Number(length)) return;
      if (!answer.startsWith("HTTP/1.1 202 ")) return void socket.destroy(new Error(answer));
      answer = "";
      const now = performance.now();
      if (sentAt >= began) latencies.push(now - sentAt);
      if (now < end) return send();
      done();
      socket.destroy();
    });
  });
await Promise.all(Array.from({ length: Number(connections) }, post));

const took = (performance.now() - began) / 1000;
latencies.sort((one, other) => one - other);
const p99 = latencies[Math.floor(latencies.length * 0.99)];
say(JSON.stringify({ count: latencies.length, perSecond: latencies.length / took, p99 }));
