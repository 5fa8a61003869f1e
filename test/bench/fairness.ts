import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { bridgeSettings, openLab, startBridge, startRelay } from "../world/lab.ts";
import { alertOf, arrivalsOf, flood, type Poster, posterFor, prepareRelay } from "../world/neighbours.ts";
import { arrived } from "./peers/maildir.ts";
import { type Bench, type Figure, median, progress, quantile } from "./rounds.ts";

const run = promisify(execFile);
const port = 25_150;
const sites = ["a1", "a2", "b"] as const;
const limitMilliseconds = 60_000;
const pauseMilliseconds = 200;
/** Longer pauses, so that some alerts follow a timeout at RCPT. */
const hangingPauseMilliseconds = 3_000;

type Posters = Record<(typeof sites)[number], Poster>;
type Scenario = {
  while: string;
  /** Resolves to how many alerts of the flood were taken. */
  flood?: (posters: Posters, size: number) => Promise<number>;
  pauseMilliseconds?: number;
};

const toGone = (post: Poster, size: number) =>
  flood(post, 300 * size, (n) => alertOf("PROBLEM", `G${n}`, n, [`gone-${n}@example.com`]));
const custom = (post: Poster, size: number) =>
  flood(post, 6000 * size, (n) => alertOf("CUSTOM", `C${n}`, n, ["a@example.com"]));
const toMailboxes = (name: string, count: number) => (posters: Posters, size: number) =>
  flood(posters.a1, count * size, (n) => alertOf("PROBLEM", `M${n}`, n, [`${name}-${n}@example.com`]));

const scenarios: readonly Scenario[] = [
  { while: "nothing else is posted" },
  { while: "A has 300 alerts for mailboxes that do not exist", flood: ({ a1 }, size) => toGone(a1, size) },
  { while: "A has 6,000 CUSTOM alerts for one contact", flood: ({ a1 }, size) => custom(a1, size) },
  { while: "A has 60,000 alerts for as many mailboxes", flood: toMailboxes("a", 60_000) },
  { while: "A has 60,000 alerts, 1 s of the relay each", flood: toMailboxes("slow", 60_000) },
  {
    while: "A has 60,000 CUSTOM alerts of one object for one contact",
    flood: ({ a1 }, size) =>
      flood(a1, 60_000 * size, (n) => alertOf("CUSTOM", "C", n, ["slow-a@example.com"])),
  },
  {
    while: "A1 has 6,000 CUSTOM alerts, A2 300 for mailboxes that do not exist",
    flood: async ({ a1, a2 }, size) => (await custom(a1, size)) + (await toGone(a2, size)),
  },
  {
    while: "the relay hangs at RCPT for 60 alerts of A",
    flood: (posters) => toMailboxes("stuck", 60)(posters, 1),
    pauseMilliseconds: hangingPauseMilliseconds,
  },
  {
    while: "the relay hangs after the content of 60 alerts of A",
    flood: (posters) => toMailboxes("dot", 60)(posters, 1),
    pauseMilliseconds: hangingPauseMilliseconds,
  },
];

const settingsFor = (state: string) => {
  const tokens = new Map(sites.map((site) => [site, randomBytes(24).toString("hex")]));
  const environment = {
    HARDSTATE_STATE: state,
    HARDSTATE_PORT: String(port),
    HARDSTATE_TOKENS: [...tokens].map((pair) => pair.join("=")).join(" "),
    HARDSTATE_FROM: "Monitoring <nagios@example.com>",
    HARDSTATE_RECIPIENTS: "example.com",
    HARDSTATE_OPERATOR: "admin@example.com",
    // The turns are measured, so the rate must refuse no flood.
    HARDSTATE_RATE: "off",
  };
  const poster = (site: (typeof sites)[number]) =>
    posterFor(`http://127.0.0.1:${port}`, tokens.get(site) ?? "");
  return { environment, posters: { a1: poster("a1"), a2: poster("a2"), b: poster("b") } };
};

type Waits = { milliseconds: number[]; missing: number; refused: number };

/**
 * Posts an alert of B each `pauseMilliseconds`, whether or not the last mail has arrived. Resolves to how long each mail
 * took. A mail that has not come within `limitMilliseconds` counts as that long.
 */
const waitsOf = async (
  post: Poster,
  maildir: string,
  count: number,
  pauseMilliseconds: number,
  limitMilliseconds: number,
): Promise<Waits> => {
  const now = () => performance.timeOrigin + performance.now();
  const began: number[] = [];
  let refused = 0;
  const first = now();
  const answers: Promise<void>[] = [];
  for (let number = 0; number < count; number++) {
    await setTimeout(Math.max(0, first + number * pauseMilliseconds - now()));
    began.push(now());
    const answered = post([alertOf("PROBLEM", `B${number}`, number, [`b-${number}@example.com`])]);
    answers.push(
      answered.then(
        ({ status }) => {
          if (status !== 202) refused += 1;
        },
        () => {
          refused += 1;
        },
      ),
    );
  }
  await Promise.all(answers);
  const until = (began.at(-1) ?? 0) + limitMilliseconds;
  while (readdirSync(maildir).length < count - refused && now() < until) await setTimeout(20);
  const came = arrivalsOf(maildir);
  const milliseconds = began.map((at, number) =>
    Math.min(limitMilliseconds, (came.get(number) ?? Number.POSITIVE_INFINITY) - at),
  );
  return { milliseconds, missing: count - came.size, refused };
};

/** How many seconds B's mails take, with a bridge and a relay that have just started. */
const measure = async (scenario: Scenario, alerts: number, quick: boolean, checkout?: string) => {
  const lab = openLab();
  try {
    const relay = await startRelay(lab);
    const maildir = await prepareRelay(lab);
    const { environment, posters } = settingsFor(join(lab.folder, "state"));
    const { HARDSTATE_RELAYS_FILE = "", HARDSTATE_RELAY_CA_FILE = "" } = bridgeSettings(
      lab,
      relay,
      port,
    ).environment;
    const bridge = await startBridge(lab, {
      port,
      token: "",
      environment: { ...environment, HARDSTATE_RELAYS_FILE, HARDSTATE_RELAY_CA_FILE },
      checkout,
    });
    // The bridge uses one connection until a mail shows that the relay accepts its login.
    await flood(posters.a1, 1, (n) => alertOf("PROBLEM", "first", n, ["a@example.com"]));
    await arrived(relay.maildir, 1, 90);
    const taken = (await scenario.flood?.(posters, quick ? 0.1 : 1)) ?? 0;
    const pause = quick ? pauseMilliseconds : (scenario.pauseMilliseconds ?? pauseMilliseconds);
    const waits = await waitsOf(posters.b, maildir, alerts, pause, limitMilliseconds);
    // After SIGTERM the bridge would wait for the mails that hang.
    await bridge.kill("SIGKILL");
    const [p50, p99] = [median(waits.milliseconds), quantile(waits.milliseconds, 0.99)];
    const late = waits.missing > 0 ? `, ${waits.missing} not within 60 s` : "";
    const refused = waits.refused > 0 ? `, ${waits.refused} posts refused` : "";
    const flooded = scenario.flood ? `${taken.toLocaleString("en-US")} taken of A; ` : "";
    progress(
      `  ${checkout ? "before" : "now"}: ${flooded}B's p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms${late}${refused}`,
    );
    return { p50: p50 / 1000, p99: p99 / 1000 };
  } finally {
    await lab.stop();
  }
};

const mailboxesOfPost = 200;
/** MB on disk for each MB posted in large alerts for 200 mailboxes each, while no relay answers. */
const diskPerByte = async (quick: boolean, checkout?: string): Promise<number> => {
  const lab = openLab();
  try {
    const state = join(lab.folder, "state");
    const { environment, posters } = settingsFor(state);
    const bridge = await startBridge(lab, {
      port,
      token: "",
      environment: { ...environment, HARDSTATE_RELAYS: "smtp://127.0.0.1:1?tls=none" },
      checkout,
    });
    const emails = Array.from({ length: mailboxesOfPost }, (_, n) => `a-${n}@example.com`);
    let postedBytes = 0;
    const wantedBytes = quick ? 200_000 : 2_000_000;
    for (let number = 0; postedBytes < wantedBytes; number++) {
      const long = {
        output: "x".repeat(4096),
        long_output: "y".repeat(65_536),
        perfdata: "z".repeat(16_384),
      };
      const alert = alertOf("PROBLEM", `L${number}`, number, emails, long);
      const { status } = await posters.a1([alert]);
      if (status !== 202) {
        progress(`  a post was answered ${status} after ${postedBytes} bytes`);
        break;
      }
      postedBytes += JSON.stringify(alert).length;
    }
    // At its end the bridge writes the logs of the databases into them.
    await bridge.kill("SIGTERM");
    const { stdout } = await run("du", ["-s", "--block-size=1", state]);
    const bytes = Number(stdout.split("\t")[0]);
    progress(
      `  ${checkout ? "before" : "now"}: ${(postedBytes / 1e6).toFixed(2)} MB posted, ${(bytes / 1e6).toFixed(1)} MB on disk`,
    );
    return bytes / postedBytes;
  } finally {
    await lab.stop();
  }
};

/** Whether one site waits for another. */
export const bench: Bench = {
  summary:
    "how long an alert of site B takes to its mail while site A floods the bridge, and what a flood weighs",
  about:
    "A bridge and a Postfix with its default error limits start for each flood of site A. When the bridge has accepted the " +
    "flood, site B posts an alert each 200 ms, ten in each round, each to another mailbox. The relay's maildir tells when " +
    "their mails came. A mail that does not come within 60 s counts as 60 s. If the relay hangs, B posts an alert each 3 s, " +
    "so that some follow a timeout. HARDSTATE_RATE is off; all other settings have their defaults. Then 2 MB of large alerts " +
    "are posted to 200 mailboxes each while no relay answers, and the state folder is measured after the bridge has ended. " +
    "Needs test/lab/setup and root.",
  run: async ({ rounds, quick, before }) => {
    const alerts = quick ? 10 : 10 * rounds;
    const figures: Figure[] = [];
    let alone = Number.NaN;
    for (const scenario of scenarios) {
      progress(`  while ${scenario.while}`);
      const theirs = before === undefined ? undefined : await measure(scenario, alerts, quick, before);
      const ours = await measure(scenario, alerts, quick);
      if (!scenario.flood) alone = ours.p99;
      const what = `an alert of B to its mail while ${scenario.while}, p99`;
      const beside = { name: "the limit", value: 2 };
      figures.push({ what, ours: ours.p99, unit: "s", beside, target: { atMost: 1 } });
      if (scenario.flood)
        figures.push({ what, ours: ours.p99, unit: "s", beside: { name: "alone", value: alone } });
      if (theirs)
        figures.push({ what, ours: ours.p99, unit: "s", beside: { name: "before", value: theirs.p99 } });
    }
    progress("  while no relay answers");
    const theirs = before === undefined ? undefined : await diskPerByte(quick, before);
    const ours = await diskPerByte(quick);
    const what = `on disk for each MB posted to ${mailboxesOfPost} mailboxes`;
    figures.push({ what, ours, unit: "MB", beside: theirs ? { name: "before", value: theirs } : undefined });
    return figures;
  },
};
