import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import PostalMime from "postal-mime";
import { afterEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { certificate } from "../deliver/certificate.ts";
import { type Place, type ScriptedRelay, scriptedRelay } from "../deliver/scripted-relay.ts";
import {
  type Bridge,
  type BridgeSettings,
  joined,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  setPostfix,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";
import { postProblems, routeSettings, storyOf, urlOf } from "../world/routes.ts";

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

/** The user nagios may send as nagios@example.com alone; Postfix says so at RCPT, as it does by default. */
const ownedByAnother = [
  "smtpd_sender_login_maps = inline:{ monitoring@example.com=boss@example.com, nagios@example.com=nagios@example.com }",
  "smtpd_sender_restrictions = reject_sender_login_mismatch",
];

const bridgePort = 18_870;
const monitoring = "Monitoring <monitoring@example.com>";
const bridgeWith = async (on: Lab, urls: string[], relays: Relay[] = []) => {
  const settings = routeSettings(on, bridgePort, urls, relays);
  settings.environment.HARDSTATE_FROM = monitoring;
  settings.environment.HARDSTATE_RECIPIENTS = "example.com example.org";
  return { settings, bridge: await startBridge(on, settings) };
};

const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("a port is needed");
  return address.port;
};
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.on("connect", () => socket.destroy()).on("error", () => resolve(false));
  });

/** Where a relay does not let us send as our sender, it is the sender that can be changed here. */
const senderAdvice = /HARDSTATE_FROM/;

type Came = { to: string; subject: string; text: string };
const addressed = (mails: readonly Came[], to: string) => mails.filter((mail) => mail.to === to);
const came = async (mails: Promise<import("postal-mime").Email[]>): Promise<Came[]> =>
  (await mails).map(({ to, subject = "", text = "" }) => ({ to: to?.[0]?.address ?? "", subject, text }));
const cameTo = ({ maildir }: Relay) => came(mailsIn(maildir));

/** Alerts that are no mail and no longer wait. */
const buried = (bridge: Bridge) =>
  bridge
    .events()
    .filter(({ event, ending }) => event === "ended" && (ending === "refused" || ending === "dead"));
const statusesOf = (bridge: Bridge, { token }: BridgeSettings, ids: string[]) =>
  Promise.all(ids.map(async (id) => (await storyOf(bridge, token, id)).status));

describe("a real Postfix that does not let us send as our sender", () => {
  it("loses nothing where another route is healthy: all go by that, and operators hear once what to do", async () => {
    const [one, other] = [lab(), lab()];
    const [refusing, healthy] = [await startRelay(one), await startRelay(other)];
    await setPostfix(one, ...ownedByAnother);
    const { bridge, settings } = await bridgeWith(
      one,
      [urlOf(refusing), urlOf(healthy)],
      [refusing, healthy],
    );
    const ids = await postProblems(bridge, settings.token, 0, 3);
    await until("the mails", 30, async () => addressed(await cameTo(healthy), "ops@example.com").length >= 3);
    await until(
      "the notice",
      30,
      async () => addressed(await cameTo(healthy), "admin@example.com").length > 0,
    );
    expect(await statusesOf(bridge, settings, ids)).toEqual(Array(3).fill("mailed"));
    expect(addressed(await cameTo(healthy), "ops@example.com")).toHaveLength(3);
    expect(buried(bridge)).toEqual([]);
    expect(await cameTo(refusing)).toEqual([]);
    const [notice, ...more] = addressed(await cameTo(healthy), "admin@example.com");
    expect(more).toEqual([]);
    expect(notice?.subject).toContain(`route smtp://localhost:${refusing.port}`);
    expect(notice?.text).toContain("Sender address rejected: not owned by user");
    expect(notice?.text).toMatch(senderAdvice);
  });

  it("loses nothing where it is the only route: all are mailed when it lets us", async () => {
    const one = lab();
    const relay = await startRelay(one);
    await setPostfix(one, ...ownedByAnother);
    const { bridge, settings } = await bridgeWith(one, [urlOf(relay)], [relay]);
    const ids = await postProblems(bridge, settings.token, 0, 3);
    await until("two refusals", 30, async () => {
      const stories = await Promise.all(ids.map((id) => storyOf(bridge, settings.token, id)));
      return stories.flatMap(({ attempts }) => attempts).length >= 2;
    });
    expect(await statusesOf(bridge, settings, ids)).toEqual(Array(3).fill("pending"));
    expect(buried(bridge)).toEqual([]);
    await setPostfix(one, "smtpd_sender_restrictions =");
    await until("the mails", 150, async () => addressed(await cameTo(relay), "ops@example.com").length === 3);
    await until("their end", 10, async () => new Set(await statusesOf(bridge, settings, ids)).size === 1);
    expect(await statusesOf(bridge, settings, ids)).toEqual(Array(3).fill("mailed"));
    expect(buried(bridge)).toEqual([]);
  });

  it("buries the mail to an unknown recipient alone, once the second route has refused it too", async () => {
    const [one, other] = [lab(), lab()];
    const relays = [await startRelay(one), await startRelay(other)];
    const [first, second] = relays as [Relay, Relay];
    for (const on of [one, other])
      await setPostfix(
        on,
        "relay_domains = example.com",
        "relay_recipient_maps = inline:{ ops@example.com=yes, admin@example.com=yes }",
      );
    const { bridge, settings } = await bridgeWith(
      one,
      relays.map((relay) => urlOf(relay)),
      relays,
    );
    const good = await postProblems(bridge, settings.token, 0, 2);
    const [bad = ""] = await postProblems(bridge, settings.token, 2, 1, "unknown@example.com");
    good.push(...(await postProblems(bridge, settings.token, 3, 2)));
    await until("the mails", 30, async () => addressed(await cameTo(first), "ops@example.com").length === 4);
    await until("the dead letter", 30, () => buried(bridge).length > 0);
    await until("the notice", 30, async () => addressed(await cameTo(first), "admin@example.com").length > 0);
    expect(await statusesOf(bridge, settings, good)).toEqual(Array(4).fill("mailed"));
    const unknown =
      "550 5.1.1 <unknown@example.com>: Recipient address rejected: User unknown in relay recipient table";
    const story = await storyOf(bridge, settings.token, bad);
    expect(story.status).toBe("refused");
    expect(story.outcome).toContain("User unknown in relay recipient table");
    expect(story.attempts).toMatchObject([
      { route: `smtp://localhost:${first.port}`, result: "refused", reply: unknown },
      { route: `smtp://localhost:${second.port}`, result: "refused", reply: unknown },
    ]);
    expect(buried(bridge)).toHaveLength(1);
    // Neither route is at fault: what comes after goes by the first, as before.
    expect(await cameTo(second)).toEqual([]);
    const notices = addressed(await cameTo(first), "admin@example.com");
    expect(notices.map(({ subject }) => subject)).toEqual([
      expect.stringContaining("mail to unknown@example.com"),
    ]);
    expect(joined(notices[0]?.text)).toContain(unknown);
  });
});

describe("a real Exim that cannot verify our sender", () => {
  const exim = process.env.EXIM ?? "/opt/lab-exim/usr/sbin/exim4";
  const owner = 64_998;

  /** An Exim that looks up every sender and finds none, since it has no route to any domain. */
  const startExim = async (on: Lab): Promise<number> => {
    if (!existsSync(exim)) throw new Error(`no ${exim}: .ci/run unpacks it, or set EXIM`);
    const port = await freePort();
    const file = (name: string, text: string) => {
      writeFileSync(join(on.folder, name), text);
      return join(on.folder, name);
    };
    const spool = join(on.folder, "exim");
    mkdirSync(spool);
    chownSync(spool, owner, owner);
    const settings = file(
      "exim.conf",
      `spool_directory = ${spool}
log_file_path = ${spool}/%slog
pid_file_path = ${spool}/pid
primary_hostname = relay.example.net
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
tls_advertise_hosts =
keep_environment =
queue_only
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  require verify = sender
  accept
`,
    );
    // Debian's Exim needs its own user, who is there for this process alone.
    const mounts = ["passwd", "group"].map((name) => {
      const entry = name === "passwd" ? `${owner}::/:/bin/false` : "";
      const all = `${readFileSync(`/etc/${name}`, "utf8")}Debian-exim:x:${owner}:${entry}\n`;
      return `mount --bind ${file(name, all)} /etc/${name} && `;
    });
    const child = spawn(
      "unshare",
      ["--mount", "sh", "-c", `${mounts.join("")}exec ${exim} -C ${settings} -bdf`],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const ended = new Promise<void>((end) => child.once("close", () => end()));
    on.onStop(() => {
      child.kill("SIGKILL");
      return ended;
    });
    await until("Exim", 30, () => answers(port));
    return port;
  };

  it("loses nothing: all go by the next route, and operators hear once what to do", async () => {
    const on = lab();
    const port = await startExim(on);
    const healthy = await startRelay(on);
    const { bridge, settings } = await bridgeWith(
      on,
      [`smtp://127.0.0.1:${port}?tls=none`, urlOf(healthy)],
      [healthy],
    );
    const ids = await postProblems(bridge, settings.token, 0, 3);
    await until("the mails", 30, async () => addressed(await cameTo(healthy), "ops@example.com").length >= 3);
    await until(
      "the notice",
      30,
      async () => addressed(await cameTo(healthy), "admin@example.com").length > 0,
    );
    expect(await statusesOf(bridge, settings, ids)).toEqual(Array(3).fill("mailed"));
    expect(buried(bridge)).toEqual([]);
    const [notice, ...more] = addressed(await cameTo(healthy), "admin@example.com");
    expect(more).toEqual([]);
    expect(notice?.text).toContain("Sender verify failed");
    expect(notice?.text).toMatch(senderAdvice);
  });
});

type Recorded = { system: string; step: string; reply: string; expected: string };
const { replies } = parse(readFileSync("test/deliver/replies.yaml", "utf8")) as { replies: Recorded[] };
const places: Record<string, Place> = {
  sender: "MAIL",
  recipient: "RCPT",
  data: "DATA",
  "after-data": "dot",
};

describe("a relay that refuses all our mail", () => {
  const relays: ScriptedRelay[] = [];
  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.close();
  });

  it.each<[because: string, words: string, advice: RegExp]>([
    ["we may not send as our sender", "5.2.252 SendAsDenied", senderAdvice],
    [
      "we may not send as our sender, by 5.2.0",
      "5.2.0 STOREDRV.Submission.Exception:SendAsDenied",
      senderAdvice,
    ],
    ["our user does not own our sender", "not owned by user nagios", senderAdvice],
    [
      "our sender's domain is unknown",
      "5.1.8 <monitoring@example.com>: Sender address rejected",
      senderAdvice,
    ],
    ["our quota is used up", "SubmissionQuotaExceededException", /quota|limit/i],
    ["our day's limit is reached", "5.4.5 Daily user sending limit exceeded", /quota|limit/i],
    ["our address is on a blocklist", "Client host [192.0.2.9] blocked using zen.spamhaus.org", /block/i],
    ["we may not relay", "TenantAttribution; Relay Access Denied", /relay/i],
    [
      "our sender is not verified at SES",
      "identities failed the check in region US-EAST-1: Monitoring",
      /verif/i,
    ],
    [
      "our sender is not verified at SendGrid",
      "does not match a verified Sender Identity",
      /verif|HARDSTATE_FROM/i,
    ],
  ])("because %s: all go by the next route, and operators hear once what to do", async (_, words, advice) => {
    const recorded = replies.filter(({ reply }) => reply.includes(words));
    const [{ step, reply } = { step: "", reply: "" }] = recorded;
    expect(recorded).toMatchObject([{ expected: "unauthorised" }]);
    const place = places[step];
    if (!place) throw new Error(`a reply to a mail is needed, not one of ${step}`);
    const clear = { EHLO: "250 relay.example\r\n" };
    const cert = await certificate({});
    const refusing = await scriptedRelay(cert, {
      ...clear,
      [place]: `${reply.replaceAll("\n", "\r\n")}\r\n`,
    });
    const healthy = await scriptedRelay(cert, clear);
    relays.push(refusing, healthy);
    const on = lab();
    const { bridge, settings } = await bridgeWith(
      on,
      [refusing, healthy].map(({ port }) => `smtp://127.0.0.1:${port}?tls=none`),
    );
    const cameByNext = () => came(Promise.all(healthy.contents.map((mail) => PostalMime.parse(mail))));
    const ids = await postProblems(bridge, settings.token, 0, 3, "ops@example.org");
    await until("the mails", 30, async () => addressed(await cameByNext(), "ops@example.org").length >= 3);
    await until("the notice", 30, async () => addressed(await cameByNext(), "admin@example.com").length > 0);
    expect(await statusesOf(bridge, settings, ids)).toEqual(Array(3).fill("mailed"));
    expect(addressed(await cameByNext(), "ops@example.org")).toHaveLength(3);
    expect(buried(bridge)).toEqual([]);
    const [notice, ...more] = addressed(await cameByNext(), "admin@example.com");
    expect(more).toEqual([]);
    expect(notice?.subject).toContain(`smtp://127.0.0.1:${refusing.port}`);
    expect(notice?.text.replace(reply.replaceAll("\n", " "), "")).toMatch(advice);
  });
});
