import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { webConsole } from "../functions/console/http.ts";
import { intake } from "../functions/intake/app.ts";
import { sqliteLedger } from "../functions/ledger/sqlite.ts";
import { sqliteQueue } from "../functions/queue/sqlite.ts";
import { say } from "../functions/report/log.ts";
import { Secret } from "../functions/secret.ts";
import { writeHistory } from "../test/console/history.ts";
import { authority, certificate } from "../test/deliver/certificate.ts";
import { scriptedRelay } from "../test/deliver/scripted-relay.ts";
import { world } from "../test/world/world.ts";

/** All pictures are of this time, so that a second run makes the same ones. */
const now = Date.UTC(2026, 10, 30, 9, 15);
const token = "token-for-the-pictures-alone".padEnd(40, "x");

const escaped = (text: string): string =>
  text.replace(/[&<>]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[one] ?? one);

/** A drawing that can be read on a white and on a dark page. */
const svg = (width: number, height: number, title: string, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="t">
<title id="t">${title}</title>
<style>
text{font:14px system-ui,sans-serif;fill:#1f2328}.small{font-size:12px}.mono{font:13px ui-monospace,Menlo,Consolas,monospace}
.page{fill:#fff}.box{fill:#f6f8fa;stroke:#8c959f}.line{stroke:#57606a;stroke-width:1.5;fill:none}
.bad{fill:#cf222e}.good{fill:#1a7f37}.quiet{fill:#6e7781}.white{fill:#fff}
</style>
<rect class="page" width="${width}" height="${height}" rx="8"/>
${content}
</svg>
`;
const text = (x: number, y: number, words: string, kind = ""): string =>
  `<text x="${x}" y="${y}"${kind && ` class="${kind}"`}>${escaped(words)}</text>`;
const box = (x: number, y: number, width: number, height: number): string =>
  `<rect class="box" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`;
const arrow = (x: number, y: number, to: number): string =>
  `<path class="line" d="M${x} ${y}H${to - 1}m-6 -4l6 4l-6 4"/>`;

const runtimes = (): string => {
  const rows = [
    ["One machine", "Node", "SQLite", "SQLite"],
    ["AWS", "Lambda", "SQS FIFO", "DynamoDB"],
    ["Cloudflare", "Worker", "SQS FIFO", "Durable Object"],
  ];
  const row = ([where = "", ...parts]: string[], index: number): string => {
    const y = 50 + index * 62;
    const boxes = parts.map((part, n) => box(120 + n * 160, y - 22, 140, 34) + text(132 + n * 160, y, part));
    return text(16, y, where) + boxes.join("");
  };
  return svg(
    760,
    220,
    "Hardstate runs on one machine, on AWS and on Cloudflare, from the same code",
    [
      text(120, 18, "intake and worker", "small quiet"),
      text(280, 18, "queue", "small quiet"),
      text(440, 18, "ledger", "small quiet"),
      text(640, 18, "mail", "small quiet"),
      ...rows.map(row),
      arrow(588, 112, 632),
      text(640, 108, "SMTP with TLS"),
      text(640, 126, "or Amazon SES"),
    ].join("\n"),
  );
};

const episode = (): string => {
  const events: [number, string, "bad" | "good", string?][] = [
    [90, "problem", "bad", "mail: PROBLEM"],
    [200, "repeat", "bad"],
    [310, "second monitor", "bad"],
    [440, "repeat", "bad"],
    [560, "recovery", "good", "mail: RECOVERY"],
    [680, "sent again", "good"],
  ];
  const marks = events.map(
    ([x, words, kind, mail]) =>
      `<circle class="${kind}" cx="${x}" cy="70" r="7"/>${text(x - 24, 46, words, "small")}${
        mail === undefined
          ? text(x - 24, 104, "no mail", "small quiet")
          : `<rect class="${kind}" x="${x - 56}" y="90" width="136" height="26" rx="5"/>${text(x - 46, 108, mail, "white")}`
      }`,
  );
  return svg(
    760,
    136,
    "One problem, its repeats, a second monitor and the recovery make two mails",
    [text(16, 20, "web01/HTTP, one contact", "small quiet"), arrow(30, 70, 740), ...marks].join("\n"),
  );
};

/** A terminal with these lines. With `seconds`, line after line appears, unless the reader's settings say no motion. */
const terminal = (title: string, lines: readonly string[], seconds?: number): string => {
  const [width, height] = [860, 34 + lines.length * 18];
  const kind = (line: string) =>
    line.startsWith("$")
      ? "prompt"
      : /^\s*(FAIL|Bad)|→/.test(line)
        ? "wrong"
        : /^\s*(pass|Good)/.test(line)
          ? "right"
          : "";
  const shown = lines.map((line, index) => {
    const delay =
      seconds === undefined
        ? ""
        : ` style="animation-delay:${((index * seconds) / lines.length).toFixed(1)}s"`;
    return `<text class="${kind(line)}" x="14" y="${30 + index * 18}" xml:space="preserve"${delay}>${escaped(line)}</text>`;
  });
  const motion =
    seconds === undefined
      ? ""
      : "@media (prefers-reduced-motion:no-preference){text{animation:show .2s both}@keyframes show{from{opacity:0}to{opacity:1}}}";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="t">
<title id="t">${title}</title>
<style>text{font:12.5px ui-monospace,Menlo,Consolas,monospace;fill:#e6edf3}.prompt{fill:#79c0ff}.wrong{fill:#ff938a}.right{fill:#7ee787}${motion}</style>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${shown.join("\n")}
</svg>
`;
};

const columns = 108;

/** A line in parts of at most 108 columns, cut between words. */
const folded = (line: string): string[] => {
  if (line.length <= columns) return [line];
  const end = line.lastIndexOf(" ", columns);
  return [line.slice(0, end), ...folded(`    ${line.slice(end + 1)}`)];
};

/** The recorded lines of docs/install/trial.md, which an end-to-end test compares with a real trial. */
const trial = (): string => {
  const page = readFileSync("docs/install/trial.md", "utf8");
  const lines = page
    .split("\n")
    .filter((line) => line.startsWith("    ") && !line.includes("replay"))
    .map((line) => line.slice(4));
  return terminal(
    "A trial: a problem, the same again, its recovery, and the story of the last alert",
    lines.flatMap((line) => folded(line)),
    9,
  );
};

/** The output of doctor about a relay that refuses our sender; only the port is replaced. */
const doctor = async (): Promise<string> => {
  const ca = await authority();
  const refused = "553 5.7.1 <nagios@example.com>: Sender address rejected: not owned by user bridge\r\n";
  const relay = await scriptedRelay(await certificate({ ca, days: 365 }), { RCPT: refused });
  const state = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  try {
    const env = {
      ...process.env,
      HARDSTATE_TOKENS: `site=${token}`,
      HARDSTATE_RELAYS: `smtp://bridge:secret@127.0.0.1:${relay.port}?name=mon1.example.com`,
      HARDSTATE_RELAY_CA: ca.cert,
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "example.com",
      HARDSTATE_OPERATOR: "ops@example.com",
      HARDSTATE_STATE: state,
    };
    const words = ["scripts/hardstate/hardstate.ts", "doctor", "--dns", "127.0.0.1"];
    const printed = await new Promise<string>((done) =>
      execFile(process.execPath, words, { env }, (_, out, error) => done(out + error)),
    );
    const [stages = ""] = printed.split(/^ +skipped +domain/m);
    const shown = stages
      .replaceAll(String(relay.port), "587")
      .replace(/until .*/, "until 2027-11-30")
      .trimEnd();
    return terminal("hardstate doctor finds that a relay refuses our sender", [
      "$ hardstate doctor",
      ...shown.split("\n"),
    ]);
  } finally {
    await relay.close();
    rmSync(state, { recursive: true });
  }
};

/** The mails of a problem and of a digest, as HTML. */
const mails = async (): Promise<{ problem: string; digest: string }> => {
  const { problem, pass, mails, bridge } = (() => {
    const made = world({ begin: now, policy: { burst: { most: 1, milliseconds: 60_000 } } });
    const problem = (host: string, service: string, output: string, state = "CRITICAL") =>
      made.tell("PROBLEM", { host, service }, state, { output, long_output: `${output}\nLast check: 09:15` });
    return { ...made, problem };
  })();
  await problem("web01", "HTTP", "CRITICAL - Socket timeout after 10 seconds");
  for (const service of ["Disk /var", "Load", "Replication"])
    await problem("db01", service, `${service}: no answer from the host`);
  await problem("web02", "HTTP", "WARNING - 4.2 seconds response time", "WARNING");
  await pass(60);
  bridge.close();
  const [problemMail, digestMail] = mails.map(({ html }) => html ?? "");
  return { problem: problemMail ?? "", digest: digestMail ?? "" };
};

/** A picture of HTML on a phone. */
const phone = async (browser: Browser, html: string, path: string): Promise<void> => {
  const page = await browser.newPage({ viewport: { width: 390, height: 640 }, deviceScaleFactor: 2 });
  await page.setContent(html);
  await page.screenshot({ path });
  await page.close();
};

/** Pictures of the console's first page, after a day with a believable history. */
const consolePictures = async (browser: Browser, folder: string): Promise<void> => {
  const state = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  await writeHistory(join(state, "ledger.sqlite"), now, "site1");
  const ledger = sqliteLedger(join(state, "ledger.sqlite"));
  const queue = sqliteQueue(":memory:", () => now);
  await ledger.writeHeartbeat({ ...(await ledger.heartbeat("site1", "monitor1")), at: now - 20_000 });
  const parts = {
    tokens: [{ site: "site1", token: new Secret(token) }],
    aliases: new Map(),
    allowed: () => true,
    operators: [],
    queue,
    ledger,
    clock: () => now,
    report: () => undefined,
  };
  const app = intake(parts).route("/", webConsole(parts));
  const form = { method: "POST", body: new URLSearchParams({ token }), headers: { Host: "localhost:8787" } };
  const cookie =
    (await app.request("http://localhost:8787/login", form)).headers.get("Set-Cookie")?.split(";")[0] ?? "";
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await browser.newPage({
      viewport: { width: 1100, height: 760 },
      colorScheme,
      javaScriptEnabled: false,
    });
    await page.route("**/*", async (route) => {
      const url = route.request().url();
      const response = await app.request(url, { headers: { Host: "localhost:8787", Cookie: cookie } });
      await route.fulfill({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: Buffer.from(await response.arrayBuffer()),
      });
    });
    await page.goto("http://localhost:8787/");
    await page.screenshot({ path: join(folder, `console-${colorScheme}.png`) });
    await page.close();
  }
  ledger.close();
  queue.close();
  rmSync(state, { recursive: true });
};

/** Makes the pictures of docs/pictures in a folder. Needs Debian's chromium for the PNG files. */
export const makePictures = async (folder: string): Promise<void> => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "runtimes.svg"), runtimes());
  writeFileSync(join(folder, "episode.svg"), episode());
  writeFileSync(join(folder, "trial.svg"), trial());
  writeFileSync(join(folder, "doctor.svg"), await doctor());
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const { problem, digest } = await mails();
    await phone(browser, problem, join(folder, "problem-phone.png"));
    await phone(browser, digest, join(folder, "digest-phone.png"));
    await consolePictures(browser, folder);
  } finally {
    await browser.close();
  }
};

if (import.meta.main) {
  await makePictures("docs/pictures");
  say("docs/pictures is new.");
}
