import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import {
  type Bridge,
  bridgeSettings,
  type Lab,
  openLab,
  type Relay,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";
import { alertOf, arrivalsOf, flood, type Poster, posterFor, prepareRelay } from "../world/neighbours.ts";

const port = 18_880;
const sites = ["a1", "a2", "b"] as const;
let lab: Lab;
let relay: Relay;
let maildirOfB: string;
let bridge: Bridge | undefined;

beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  maildirOfB = await prepareRelay(lab);
});
afterEach(async () => {
  // After SIGTERM the bridge would wait for the mails that hang.
  await bridge?.kill("SIGKILL");
  bridge = undefined;
  await lab.script("relay", "clear");
});
afterAll(() => lab?.stop());

let bridges = 0;
/** Starts a bridge that has logged in at the relay; resolves to what posts as each site. */
const start = async (): Promise<Record<(typeof sites)[number], Poster>> => {
  const tokens = new Map(sites.map((site) => [site, randomBytes(24).toString("hex")]));
  const { HARDSTATE_TOKENS_FILE, HARDSTATE_BURST, ...environment } = bridgeSettings(
    lab,
    relay,
    port,
  ).environment;
  bridge = await startBridge(lab, {
    port,
    token: "",
    environment: {
      ...environment,
      HARDSTATE_STATE: join(lab.folder, `state-${bridges++}`),
      HARDSTATE_TOKENS: [...tokens].map((pair) => pair.join("=")).join(" "),
      HARDSTATE_OPERATOR: "admin@example.com",
      // The turns are tested, so the rate must refuse no flood.
      HARDSTATE_RATE: "off",
    },
  });
  const poster = (site: (typeof sites)[number]) =>
    posterFor(`http://127.0.0.1:${port}`, tokens.get(site) ?? "");
  await flood(poster("a1"), 1, (n) => alertOf("PROBLEM", "first", n, ["a@example.com"]));
  await until("the first mail", 90, () => mailsOfA() === 1);
  return { a1: poster("a1"), a2: poster("a2"), b: poster("b") };
};
const mailsOfA = () => readdirSync(relay.maildir).length;
/** How many alerts for such mailboxes have ended, mailed or not. */
const endedFor = (mailboxes: string) =>
  bridge?.events().filter(({ event, contact }) => event === "ended" && String(contact).startsWith(mailboxes))
    .length;

let alertsOfB = 0;
/** Posts alerts of B, one after the other; resolves when the last one's mail has come. */
const mailsOfB = async (post: Poster, most = 5): Promise<void> => {
  for (let count = 0; count < most; count++) {
    const number = alertsOfB++;
    const { status, text } = await post([
      alertOf("PROBLEM", `B${number}`, number, [`b-${number}@example.com`]),
    ]);
    expect(status, text).toBe(202);
    await until(`the mail of B's alert ${number}`, 30, () => arrivalsOf(maildirOfB).has(number));
  }
};

it("site B has its mails while hundreds of alerts of A go to mailboxes that do not exist", async () => {
  const { a1, b } = await start();
  expect(await flood(a1, 300, (n) => alertOf("PROBLEM", `G${n}`, n, [`gone-${n}@example.com`]))).toBe(300);
  await mailsOfB(b);
});

it("site B has its mails before most of A's thousands of CUSTOM alerts for one contact", async () => {
  const { a1, b } = await start();
  expect(await flood(a1, 3000, (n) => alertOf("CUSTOM", `C${n}`, n, ["a@example.com"]))).toBe(3000);
  await mailsOfB(b);
  expect(mailsOfA()).toBeLessThan(2000);
});

it("site B has its mails while two sites have thousands of alerts in the queue, and the relay is slow for them", async () => {
  const { a1, a2, b } = await start();
  const slow = (n: number) => alertOf("PROBLEM", `S${n}`, n, [`slow-${n}@example.com`]);
  expect(await flood(a1, 2000, slow)).toBe(2000);
  expect(await flood(a2, 2000, slow)).toBe(2000);
  await mailsOfB(b);
  expect(endedFor("slow-")).toBeLessThan(2000);
});

it.each([
  ["at RCPT", "stuck"],
  ["after the content", "dot"],
])("site B has its mails while the relay hangs %s for A's alerts", async (_, name) => {
  const { a1, b } = await start();
  expect(await flood(a1, 60, (n) => alertOf("PROBLEM", `H${n}`, n, [`${name}-${n}@example.com`]))).toBe(60);
  await mailsOfB(b);
  expect(endedFor(`${name}-`)).toBe(0);
});

it("site B has its mails before a dozen posts of A to thousands of mailboxes each are answered", async () => {
  const { a1, b } = await start();
  const emails = Array.from({ length: 200 }, (_, n) => `a-${n}@example.com`);
  const alerts = (post: number) =>
    Array.from({ length: 30 }, (_, n) => alertOf("PROBLEM", `P${post}-${n}`, n, emails));
  let answered = 0;
  const posts = Array.from({ length: 12 }, async (_, post) => {
    // When the bridge ends, it cuts off the posts that still wait.
    await a1(alerts(post)).then(
      () => {
        answered += 1;
      },
      () => {},
    );
  });
  await mailsOfB(b, 2);
  expect(answered).toBeLessThan(12);
  await bridge?.kill("SIGKILL");
  await Promise.all(posts);
});
