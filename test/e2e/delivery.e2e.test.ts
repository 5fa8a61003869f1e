import { execFile } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import {
  type Bridge,
  killRelay,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";
import { postProblems, routeSettings, storyOf, urlOf } from "../world/routes.ts";

const run = promisify(execFile);

/** Where what was measured is written, if it is wanted. */
const report = (line: string) =>
  process.env.DELIVERY_REPORT && appendFileSync(process.env.DELIVERY_REPORT, line);

const labs: Lab[] = [];
const lab = (): Lab => {
  const opened = openLab();
  labs.push(opened);
  return opened;
};
afterEach(async () => {
  // The bridge is registered with the first lab: it ends before its relays do.
  for (const opened of labs.splice(0)) await opened.stop();
});

const ended = (bridge: Bridge, ending: string) =>
  bridge
    .events()
    .filter((event) => event.event === "ended" && event.ending === ending && event.object !== undefined);
const toOps = async (maildir: string) =>
  (await mailsIn(maildir)).filter(({ to }) => to?.[0]?.address === "ops@example.com");

describe("two real relays", () => {
  it("the first killed in the middle of 300 mails: all are delivered once, none is lost", async () => {
    const [one, other] = [lab(), lab()];
    const a = await startRelay(one);
    const b = await startRelay(other);
    const settings = routeSettings(one, 18901, [urlOf(a), urlOf(b)], [a, b]);
    const bridge = await startBridge(one, settings);
    const ids = await postProblems(bridge, settings.token, 0, 300);
    await until("the first hundred mails", 60, () => ended(bridge, "mailed").length >= 100);
    await killRelay(one);
    await until(
      "all mails",
      120,
      () => ended(bridge, "mailed").filter(({ contact }) => contact === "ops@example.com").length === 300,
    );
    // The alerts that the first had taken when it died are in its queue: it delivers that when it is back.
    await one.script("relay", "start");
    const idsIn = async ({ maildir }: Relay) => (await toOps(maildir)).map(({ messageId }) => messageId);
    const all = async () => [...(await idsIn(a)), ...(await idsIn(b))];
    await until("what the first relay had taken", 60, async () => new Set(await all()).size === 300);
    const stories = await Promise.all(ids.map((id) => storyOf(bridge, settings.token, id)));
    const inDoubt = stories.filter(({ attempts }) => attempts.some(({ lostAfterData }) => lostAfterData));
    expect(stories.map(({ status }) => status)).toEqual(Array(300).fill("mailed"));
    expect((await all()).length - 300).toBeLessThanOrEqual(inDoubt.length);
    expect((await idsIn(b)).length).toBeGreaterThan(100);
    // Failed attempts at the dead relay: a few at the moment it died, then only probes.
    const failed = stories.flatMap(({ attempts }) => attempts.filter(({ result }) => result !== "accepted"));
    expect(failed.length).toBeLessThan(15);
    const operators = (await mailsIn(b.maildir)).filter(({ to }) => to?.[0]?.address === "admin@example.com");
    expect(operators.map(({ subject }) => subject)).toEqual([
      `[operator PROBLEM CRITICAL] hardstate/route smtp://localhost:${a.port}`,
    ]);
    report(
      `first relay ${(await idsIn(a)).length}, second ${(await idsIn(b)).length}, second copies ${(await all()).length - 300}, in doubt ${inDoubt.length}, failed attempts ${failed.length}
`,
    );
  });
});

/** How long a relay is away or a password wrong; longer by hand than in every run. */
const awaySeconds = (process.env.DELIVERY_AWAY_SECONDS ?? "35").split(",").map(Number);
const wrongSeconds = Number(process.env.DELIVERY_WRONG_SECONDS ?? "5");
const passed = (begun: number) => Math.round((Date.now() - begun) / 1000);
const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

describe("a real relay that is away", () => {
  it.each(awaySeconds.map((seconds, index) => [seconds, index] as const))(
    "for %d s loses nothing, and mail flows soon after it is back",
    async (seconds, index) => {
      const one = lab();
      const relay = await startRelay(one);
      const settings = routeSettings(one, 18903 + index, [urlOf(relay)], [relay]);
      const bridge = await startBridge(one, settings);
      await one.script("relay", "stop");
      const begun = Date.now();
      const calls = () => bridge.events().filter(({ event }) => event === "attempt-failed").length;
      await postProblems(bridge, settings.token, 0, 100);
      await sleep(seconds);
      const tried = calls();
      await one.script("relay", "start");
      await until("all mails", 610, async () => (await toOps(relay.maildir)).length === 100);
      report(
        `away ${seconds} s: ${tried} attempts meanwhile, all 100 mails ${passed(begun)} s after the first post\n`,
      );
      const ids = (await toOps(relay.maildir)).map(({ messageId }) => messageId);
      expect(new Set(ids).size).toBe(100);
      expect(tried).toBeLessThan(10);
    },
    (Math.max(...awaySeconds) + 700) * 1000,
  );
});

describe("a real relay with another password", () => {
  it(
    "is asked by probes alone, and mail flows after the change there without a restart",
    async () => {
      const one = lab();
      const relay = await startRelay(one);
      const settings = routeSettings(one, 18902, [urlOf(relay, "another-Pa55word")], [relay]);
      const bridge = await startBridge(one, settings);
      const begun = Date.now();
      await postProblems(bridge, settings.token, 0, 50);
      await until("the refusal", 20, () => bridge.events().some(({ event }) => event === "route"));
      const refusals = () =>
        readFileSync(join(one.folder, "relay", "maillog"), "utf8").split("SASL PLAIN authentication failed")
          .length - 1;
      expect(refusals()).toBe(1);
      expect(readdirSync(relay.maildir)).toHaveLength(0);
      await sleep(wrongSeconds);
      const tried = refusals();
      const sasl = join(one.folder, "relay", "etc", "sasl", "sasldb2");
      await run("sh", [
        "-c",
        `printf %s another-Pa55word | saslpasswd2 -p -c -f ${sasl} -u example.com ${relay.user}`,
      ]);
      await until("all mails", 610, async () => (await toOps(relay.maildir)).length === 50);
      report(
        `wrong password for ${wrongSeconds} s: ${tried} logins, all 50 mails ${passed(begun)} s after the first post\n`,
      );
      expect(refusals()).toBe(tried);
      expect(tried).toBeLessThanOrEqual(1 + Math.ceil(wrongSeconds / 30));
      const subjects = (await mailsIn(relay.maildir))
        .filter(({ to }) => to?.[0]?.address === "admin@example.com")
        .map(({ subject }) => subject);
      expect(subjects.length).toBeLessThanOrEqual(2);
    },
    (wrongSeconds + 700) * 1000,
  );
});
