// smtp-load - sends many small mails to an SMTP server and prints the rate.
//
// usage: node smtp-load.mjs PORT MESSAGES SESSIONS [--per-connection N] [--auth USER:PASSWORD]
//        [--starttls CAFILE] [--rcpt ADDRESS]
//   SESSIONS connections work at the same time; each carries N mails (default: as many
//   as there are) before it is closed and another one opened.
// Input:  none.  Output: one line: seconds, mails/s, failures.  It ends by itself.
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import { parseArgs } from "node:util";

const { values: opt, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "per-connection": { type: "string", default: "1000000000" },
    auth: { type: "string" },
    starttls: { type: "string" },
    rcpt: { type: "string", default: "oncall@example.com" },
  },
});
const [port, messages, sessions] = positionals.map(Number);
const perConnection = Number(opt["per-connection"]);
const ca = opt.starttls && readFileSync(opt.starttls);

class Session {
  #replies = [];
  #waiting = null;
  #rest = "";
  use(socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text) => {
      const lines = (this.#rest + text).split("\r\n");
      this.#rest = lines.pop();
      for (const line of lines) if (line[3] !== "-") this.#give(line);
    });
    socket.on("error", () => this.#give("000 connection lost"));
    socket.on("close", () => this.#give("000 connection closed"));
  }
  #give(line) {
    if (this.#waiting) this.#waiting(line);
    else this.#replies.push(line);
    this.#waiting = null;
  }
  #next() {
    if (this.#replies.length) return Promise.resolve(this.#replies.shift());
    return new Promise((resolve) => (this.#waiting = resolve));
  }
  async expect(code) {
    const line = await this.#next();
    if (!line.startsWith(code)) throw new Error(line);
  }
  say(text, code) {
    this.socket.write(`${text}\r\n`);
    return this.expect(code);
  }
  async open() {
    this.use(net.connect(port, "127.0.0.1"));
    await this.expect("220");
    await this.say("EHLO load.example.com", "250");
    if (ca) {
      await this.say("STARTTLS", "220");
      this.socket.removeAllListeners();
      this.use(tls.connect({ socket: this.socket, ca, servername: "localhost" }));
      await this.say("EHLO load.example.com", "250");
    }
    if (opt.auth) {
      const plain = Buffer.from(`\0${opt.auth.replace(":", "\0")}`).toString("base64");
      await this.say(`AUTH PLAIN ${plain}`, "235");
    }
  }
  async mail(n) {
    await this.say("MAIL FROM:<nagios@example.com>", "250");
    await this.say(`RCPT TO:<${opt.rcpt}>`, "250");
    await this.say("DATA", "354");
    const text = "It is down. ".repeat(60);
    await this.say(
      `From: nagios@example.com\r\nTo: ${opt.rcpt}\r\nSubject: load ${n}\r\n\r\n${text}\r\n.`,
      "250",
    );
  }
  async close() {
    await this.say("QUIT", "221").catch(() => {});
    this.socket.destroy();
  }
}

let next = 0;
let failed = 0;
async function worker() {
  while (next < messages) {
    const session = new Session();
    try {
      await session.open();
      for (let i = 0; i < perConnection && next < messages; i++) await session.mail(++next);
    } catch (error) {
      failed++;
      if (failed < 4) process.stderr.write(`${error.message}\n`);
    }
    await session.close();
  }
}
const start = performance.now();
await Promise.all(Array.from({ length: sessions }, worker));
const seconds = (performance.now() - start) / 1000;
process.stdout.write(
  `${seconds.toFixed(3)} s, ${(messages / seconds).toFixed(1)} mails/s, ${failed} failures\n`,
);
