import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authority, certificate } from "../../test/deliver/certificate.ts";
import { startNameServer } from "../../test/deliver/name-server.ts";
import { scriptedRelay } from "../../test/deliver/scripted-relay.ts";
import { type TerminalLine, terminals } from "./svg.ts";

/** The lines with their tones; a line that begins far to the right goes on with the tone of the one above. */
const toned = (lines: readonly string[]): TerminalLine[] => {
  let tone: TerminalLine["tone"];
  return lines.map((words) => {
    if (!words.startsWith(" ".repeat(20)))
      tone = /^ {2}FAIL |^Bad/.test(words) ? "bad" : /^ {2}skipped /.test(words) ? "quiet" : undefined;
    return { words, tone, ...(words.startsWith("  pass ") && { first: "good" }) };
  });
};

/** Puts fixed words in place of the address, the port and the day of this run. */
const fixed = (line: string, port: number): string =>
  line
    .replaceAll(`localhost:${port}`, "relay.example.com:587")
    .replaceAll(`port ${port}`, "port 587")
    .replaceAll("localhost", "relay.example.com")
    .replaceAll("127.0.0.1", "192.0.2.25")
    .replace(/[A-Z][a-z]{2} +\d+ [\d:]+ \d{4} GMT/, "Nov 25 09:30:00 2027 GMT");

/** doctor.svg: what `hardstate doctor` really says of a relay that refuses the password. */
export const doctor = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  const ca = await authority();
  const own = await certificate({ ca, forName: "localhost", days: 365 });
  const relay = await scriptedRelay(own, {
    greeting: "220 localhost ESMTP\r\n",
    EHLO: "250-localhost\r\n250 STARTTLS\r\n",
    "TLS-EHLO": "250-localhost\r\n250 AUTH PLAIN LOGIN\r\n",
    AUTH: "535 5.7.8 Error: authentication failed: wrong user or password\r\n",
    password: "535 5.7.8 Error: authentication failed: wrong user or password\r\n",
    stranger: "554 5.7.1 <nobody@example.net>: Relay access denied\r\n",
  });
  const names = await startNameServer({
    "example.com": ["A 192.0.2.7", "MX 10 mx.example.com", "TXT v=spf1 ip4:127.0.0.1 -all"],
    "mx.example.com": ["A 192.0.2.8"],
    "_dmarc.example.com": ["TXT v=DMARC1; p=none; rua=mailto:dmarc@example.com"],
    localhost: ["A 127.0.0.1"],
  });
  try {
    const words = ["scripts/hardstate/hardstate.ts", "doctor", "--dns", `127.0.0.1:${names.port}`];
    const output = await new Promise<string>((done, failed) =>
      execFile(
        process.execPath,
        words,
        {
          env: {
            PATH: process.env.PATH,
            HARDSTATE_STATE: folder,
            HARDSTATE_TOKENS: `berlin=${"t".repeat(24)}`,
            HARDSTATE_RELAYS: `smtp://nagios:wrong-horse@localhost:${relay.port}?name=monitor.example.com`,
            HARDSTATE_RELAY_CA: ca.cert,
            HARDSTATE_RECIPIENTS: "example.com",
            HARDSTATE_FROM: "Monitoring <nagios@example.com>",
          },
        },
        (error, out, err) =>
          error?.code === 1 && err === "" ? done(out) : failed(new Error(`${out}${err}`)),
      ),
    );
    const lines = output.trimEnd().split("\n");
    return terminals("hardstate doctor: the relay refuses the password, and what to do about it", 88, [
      {
        name: "hardstate doctor",
        lines: [
          { words: "$ npm run -s hardstate -- doctor", tone: "typed" },
          ...toned(lines.map((line) => fixed(line, relay.port))),
        ],
      },
    ]);
  } finally {
    names.close();
    await relay.close();
    rmSync(folder, { recursive: true });
  }
};
