import PostalMime, { decodeWords } from "postal-mime";
import { describe, expect, test } from "vitest";
import { type Alert, readAlert } from "../../functions/alert.ts";
import { compose, reduced, type Sender } from "../../functions/compose/mail.ts";
import { render } from "../../functions/compose/mime.ts";
import { type Entry, emptyEntry, told } from "../../functions/decide/entry.ts";
import { defaultPolicy } from "../../functions/decide/policy.ts";
import { decide } from "../../functions/decide/verdict.ts";
import { readPost } from "../../functions/intake/post.ts";
import { noticeAlerts } from "../../functions/operator/notices.ts";
import type { QueuedAlert } from "../../functions/queue/message.ts";

const sender: Sender = {
  from: { name: "Überwachung", address: "nagios@example.com" },
  envelopeFrom: "bounce@example.com",
  link: {
    service: "https://nagios.example.com/status?host={host}&service={service}",
    host: "https://nagios.example.com/status?host={host}",
  },
};
const now = Date.UTC(2027, 0, 15, 8, 0, 5);

const fields = {
  v: 1,
  source: "nagios",
  monitor: { id: "mon1", start: 1_799_990_000 },
  type: "PROBLEM",
  object: { host: "web1", service: "HTTP" },
  state: "CRITICAL",
  problem: { id: "7", epoch: 1_799_999_990 },
  notification: { id: "41", number: 1 },
  output: "connection refused",
  time: 1_800_000_000,
};
type Change = { object?: object; [field: string]: unknown };

const alertOf = ({ object, ...change }: Change = {}): Alert => {
  const reading = readAlert({ ...fields, ...change, object: { ...fields.object, ...object } });
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.value;
};

const queued = (alert: Alert, change: Partial<QueuedAlert> = {}): QueuedAlert => ({
  v: 1,
  id: "alert-0001",
  site: "berlin",
  contact: "ops@example.org",
  contactName: "ops",
  receivedAt: now,
  alert,
  ...change,
});

/** The mail for an alert, and the entry once its contact was told. */
const mailed = (alert: QueuedAlert, entry: Entry = emptyEntry, by = sender) => {
  const verdict = decide({ entry }, alert, defaultPolicy, alert.receivedAt);
  if (verdict.action !== "send") throw new Error(verdict.reason);
  const mail = compose(alert, verdict, alert.receivedAt, by);
  const episodeId = verdict.episode?.id;
  return { mail, entry: told(verdict.entry, verdict.kind, alert, episodeId, alert.receivedAt) };
};

const problem = queued(alertOf());
const recovery = queued(
  alertOf({
    type: "RECOVERY",
    state: "OK",
    prev_state: "CRITICAL",
    problem: { last_id: "7" },
    notification: { id: "42", number: 0 },
    output: "200 OK",
    time: 1_800_000_600,
  }),
  { id: "alert-0002", receivedAt: now + 600_000 },
);

const parsed = (mail: Parameters<typeof render>[0]) => PostalMime.parse(render(mail).bytes);
const headersOf = (bytes: Buffer) => bytes.toString("latin1").split("\r\n\r\n", 1)[0] ?? "";
const namesOf = (bytes: Buffer) =>
  [...headersOf(bytes).matchAll(/^([^\s:]+):/gm)].map(([, name]) => name).sort();

describe("a mail as a file", () => {
  const longProblem = queued(
    alertOf({
      object: {
        alias: "Webserver Größe Ω",
        address: "192.0.2.7",
        groups: ["web", "müller"],
        urls: { notes: "https://wiki.example.com/http?a=1&b=2" },
      },
      attempt: 3,
      max_attempts: 3,
      prev_state: "OK",
      output: "HTTP CRITICAL - Zeitüberschreitung nach 10 s 🔥",
      long_output: Array.from(
        { length: 40 },
        (_, n) => `.${n} ${"größere Ausgabe, ".repeat(n % 12)}日本語`,
      ).join("\n"),
      perfdata: "time=10.0s;1;5 size=0B",
    }),
  );
  const hostile = queued(
    alertOf({
      object: {
        host: 'db1\r\nBcc: evil@evil.com"<img src=x>',
        service: null,
        alias: "=?utf-8?Q?x=0D=0ABcc:_evil@evil.com?=",
      },
      type: "ACKNOWLEDGEMENT",
      state: "DOWN",
      author: "Bob <b>\r\nX-Injected: yes",
      comment:
        "line1\n\nContent-Type: text/html\n\n<b>$(touch /tmp/p)</b> <script src=//evil.com></script>\n.\n",
    }),
  );

  test.for<[string, QueuedAlert, Entry?]>([
    ["service-problem", longProblem],
    ["recovery", recovery, mailed(problem).entry],
    ["hostile-acknowledgement", hostile],
  ])("%s is byte for byte what it was", async ([name, alert, entry]) => {
    const bytes = render(mailed(alert, entry).mail).bytes;
    await expect(bytes.toString("latin1")).toMatchFileSnapshot(`golden/${name}.eml`);
    expect(bytes.toString("latin1")).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
  });

  test("reduced is text alone, and reads back with its mark", async () => {
    const { mail } = mailed(longProblem);
    const bytes = render(reduced(mail, "552 5.3.4 too large")).bytes;
    expect(bytes.toString("latin1")).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
    const back = await PostalMime.parse(bytes);
    expect(back.html).toBeUndefined();
    expect(back.messageId).toBe(mail.messageId);
    expect(back.text).toContain("größere Ausgabe");
    expect(back.text).toMatch(/This mail is reduced[\s\S]*552 5\.3\.4 too large\n\n-- \n/);
  });

  test.for<[string, QueuedAlert, Entry?]>([
    ["service problem", longProblem],
    ["recovery", recovery, mailed(problem).entry],
    ["hostile acknowledgement", hostile],
  ])("of a %s reads back as it was composed", async ([, alert, entry]) => {
    const { mail } = mailed(alert, entry);
    const back = await parsed(mail);
    expect(back.from).toEqual(sender.from);
    expect(back.to).toEqual([{ name: "", address: "ops@example.org" }]);
    expect([back.cc, back.bcc]).toEqual([undefined, undefined]);
    expect(back.subject).toBe(mail.subject);
    expect(back.messageId).toBe(mail.messageId);
    expect(back.text?.trimEnd()).toBe(mail.text.trimEnd());
    expect(back.html?.trimEnd()).toBe(mail.html?.trimEnd());
    expect(back.date).toBe(new Date(alert.receivedAt).toISOString());
  });
});

test("the reason of a mail is in its body, not in the signature that mail programs grey out or hide", () => {
  const [body, signature] = mailed(problem).mail.text.split("\n-- \n");
  expect(body).toMatch(/\n\nWhy this mail: first news of this problem\n$/);
  expect(signature).toBe("Alert alert-0001, by Hardstate\n");
});

test("the sentences of a mail have at most 76 characters a line, but for longer words", () => {
  const change = {
    type: "CUSTOM",
    output: "no answer ".repeat(30),
    comment: `see ${"x".repeat(90)} and then`,
  };
  const [sentences = ""] = mailed(queued(alertOf(change))).mail.text.split("\n\nHost");
  const lines = sentences.split("\n");
  expect(lines.filter((line) => line.length > 76)).toEqual(["x".repeat(90)]);
  expect(sentences.replaceAll("\n", " ")).toContain(change.output.trim());
});

describe("for its reader, a mail", () => {
  const later = (seconds: number, change: Change, about: Partial<QueuedAlert> = {}) =>
    queued(alertOf({ time: now / 1000 + seconds, ...change }), {
      id: `alert-at-${seconds}`,
      receivedAt: now + seconds * 1000,
      ...about,
    });
  const { entry } = mailed(problem);
  const over = { type: "RECOVERY", state: "OK", problem: { last_id: "7" }, notification: { id: "42" } };

  test.for([
    [7, "7 s"],
    [60, "1 min"],
    [595, "9 min 55 s"],
    [7_500, "2 h 5 min"],
    [90_061, "1 d 1 h"],
    [86_400 * 3 + 59, "3 d"],
  ] as const)("of a recovery says how long the problem lasted: %d s is %s", ([seconds, words]) => {
    const { mail } = mailed(later(seconds, over), entry);
    expect(mail.text).toMatch(/^RECOVERY: web1\/HTTP is OK after /);
    expect(mail.text).toContain(`is OK after ${words}\n`);
    expect(mail.html).toContain(`</b> after ${words}<`);
    expect(mail.text).toMatch(/^Began {2,}2027-01-15 08:00:05 UTC$/m);
  });

  test("of a recovery that waited in a spool before its problem came does not say how long", () => {
    const { mail } = mailed(later(20, { ...over, time: now / 1000 - 3600 }), entry);
    expect(mail.text).toMatch(/^RECOVERY: web1\/HTTP is OK\n/);
    expect(mail.text).not.toMatch(/^Began /m);
  });

  test("of a problem's first news has one time, of later news also that of the beginning", () => {
    expect(mailed(problem).mail.text).not.toContain("Open since");
    const acknowledged = mailed(later(300, { type: "ACKNOWLEDGEMENT" }), entry).mail;
    expect(acknowledged.text).toMatch(/^Open since {2,}2027-01-15 08:00:05 UTC$/m);
    expect(acknowledged.text).toContain("web1/HTTP is CRITICAL\n");
  });

  test("with a comment says whose it is, and without one still who did it", () => {
    const change = { type: "ACKNOWLEDGEMENT", author: "Grace" };
    const { text, html } = mailed(later(1, { ...change, comment: "on it" }), entry).mail;
    expect(text).toContain("\nComment by Grace:\n\non it\n");
    expect(html).toContain(">Comment by Grace</div>");
    expect(text).not.toMatch(/^Author /m);
    expect(mailed(later(1, change), entry).mail.text).toMatch(/^Author +Grace$/m);
  });

  test("of an escalated problem says so, also when it is the first news", () => {
    const escalated = { ...problem.alert.notification, number: 3, escalated: true };
    const sentence =
      "This is an escalation: the monitor's escalation rules chose this contact for notification 3 of this problem.";
    const { text, html, subject } = mailed(queued(alertOf({ notification: escalated }))).mail;
    expect(subject).toBe("[PROBLEM CRITICAL] web1/HTTP");
    expect(text.replaceAll(/(?<!\n)\n(?!\n)/g, " ")).toContain(`\n\n${sentence}\n\nHost `);
    expect(html).toContain(`<p><b>${sentence.replaceAll("'", "&#39;")}</b></p>`);
    const unnumbered = mailed(queued(alertOf({ notification: { escalated: true } }))).mail;
    expect(unnumbered.text).toContain("rules chose this contact.\n");
    for (const other of [
      mailed(problem).mail,
      mailed(later(9, { ...over, notification: escalated }), entry).mail,
    ])
      expect(other.text + other.html).not.toContain("escalation");
  });

  test("says below the long output that it was cut, and has nothing where there is no output", () => {
    const cut = mailed(queued(alertOf({ long_output: "more", perfdata: "a=1", truncated: true }))).mail;
    expect(cut.text).toMatch(/\nmore\n\nThe monitor's text was longer; .*\n\nPerformance data:\n/);
    expect(cut.html).toMatch(/>more<\/pre>\s*<p><b>The monitor&#39;s text was longer; /);
    const silent = mailed(queued(alertOf({ output: "" }))).mail;
    expect(silent.text).toMatch(/^PROBLEM: web1\/HTTP is CRITICAL\n\nHost /);
    expect(silent.html).not.toMatch(/<p[^>]*>\s*<\/p>/);
  });
});

describe("the site of a mail", () => {
  const shared = { severalSites: true };
  const subjectOf = (one: QueuedAlert) => mailed(one).mail.subject;
  const notice = noticeAlerts({ about: "unreadable", reason: "no JSON" }, ["admin@example.com"], now)[0];
  if (!notice) throw new Error("there is a notice for each operator");

  test("is in a header, and in a row of text and HTML", async () => {
    const { mail } = mailed(problem);
    expect((await parsed(mail)).headers).toContainEqual(
      expect.objectContaining({ key: "x-hardstate-site", value: "berlin" }),
    );
    expect(mail.text).toMatch(/^Site {2,}berlin$/m);
    expect(mail.html).toMatch(/>Site<\/th><td[^>]*>berlin<\/td>/);
  });

  test("is in subject and first line if several sites use the bridge, and not with one site", () => {
    const { subject, text, html } = mailed({ ...problem, ...shared }).mail;
    expect(subject).toBe("[berlin PROBLEM CRITICAL] web1/HTTP");
    expect(text).toMatch(/^\[berlin\] PROBLEM: web1\/HTTP is CRITICAL\n/);
    expect(html).toContain("<title>[berlin PROBLEM CRITICAL] web1/HTTP</title>");
    expect(html).toContain(">[berlin] PROBLEM</div>");
    expect(subjectOf(problem)).toBe("[PROBLEM CRITICAL] web1/HTTP");
    expect(mailed(problem).mail.text).toMatch(/^PROBLEM: web1\/HTTP is CRITICAL\n/);
  });

  test("changes no Message-ID and no thread", () => {
    const [alone, one] = [mailed(problem).mail, mailed({ ...problem, ...shared }).mail];
    expect([one.messageId, one.threadId]).toEqual([alone.messageId, alone.threadId]);
  });

  test.for<[kind: string, Change]>([
    ["PROBLEM CRITICAL", {}],
    ["PROBLEM UNREACHABLE", { state: "UNREACHABLE", object: { service: null } }],
    ["ACKNOWLEDGEMENT CRITICAL", { type: "ACKNOWLEDGEMENT" }],
    ["CUSTOM CRITICAL", { type: "CUSTOM" }],
  ])("leaves room on a phone for %s and the object, however long the site's name", ([kind, change]) => {
    const object = { host: "h".repeat(255), ...change.object };
    const site = `customer-${"x".repeat(50)}-west`;
    const subject = subjectOf(queued(alertOf({ ...change, object }), { site, ...shared }));
    expect(subject.slice(0, 40)).toContain(`[custom~est ${kind}] h`);
  });

  test("is shown by both ends of a long name", () => {
    const subjects = ["customer-alpha-berlin", "customer-alpha-paris"].map((site) =>
      subjectOf({ ...problem, site, ...shared }),
    );
    expect(new Set(subjects).size).toBe(2);
  });

  test.for<[site: string, several: Partial<QueuedAlert>]>([
    ["of the only site", {}],
    ["of one of several sites", shared],
  ])(
    "the bridge itself: an alert %s with the bridge's own object and words looks otherwise",
    ([, several]) => {
      const own = mailed(notice).mail;
      const forged = mailed({ ...notice, site: "berlin", ...several }).mail;
      expect(own.subject).toMatch(/^\[operator PROBLEM CRITICAL\] hardstate\/unreadable messages$/);
      expect(own.text).toMatch(/^\[operator\] PROBLEM: hardstate\//);
      expect(own.text).toMatch(/^Site +operator \(the bridge itself\)$/m);
      expect(forged.subject).not.toMatch(/^\[operator/);
      expect(forged.text).not.toMatch(/^\[operator/);
      expect(forged.text).toMatch(/^Site +berlin$/m);
      expect(forged.headers["X-Hardstate-Site"]).toBe("berlin");
    },
  );

  test("stands before all text of an alert", () => {
    const host = "[operator PROBLEM CRITICAL] hardstate";
    const output = "[operator] PROBLEM: hardstate/route is CRITICAL";
    const { subject, text } = mailed(queued(alertOf({ object: { host }, output }), shared)).mail;
    expect(subject).toMatch(/^\[berlin PROBLEM CRITICAL\] /);
    expect(text).toMatch(/^\[berlin\] PROBLEM: /);
    expect(subjectOf(queued(alertOf({ object: { host }, output })))).toMatch(/^\[PROBLEM CRITICAL\] /);
  });

  test("is cleaned like other text", async () => {
    const site = "ber\r\nBcc: evil@evil.com";
    const { mail } = mailed({ ...problem, site, ...shared });
    expect(mail.subject).toMatch(/^\[ber Bc~com PROBLEM/);
    expect(namesOf(render(mail).bytes)).not.toContain("Bcc");
    expect(mail.text).toMatch(/^Site +ber Bcc: evil@evil.com$/m);
  });
});

describe("a second try", () => {
  test("makes the same bytes", async () => {
    expect(render(mailed(problem).mail).bytes).toEqual(render(mailed(problem).mail).bytes);
  });
});

describe("threading", () => {
  const opened = mailed(problem);
  const closed = mailed(recovery, opened.entry);

  test("gives each contact a Message-ID of its own", () => {
    const other = mailed(queued(problem.alert, { contact: "night@example.org" }));
    expect(other.mail.messageId).not.toBe(opened.mail.messageId);
  });

  test("gives each transition a Message-ID of its own", () => {
    expect(closed.mail.messageId).not.toBe(opened.mail.messageId);
    expect(opened.mail.messageId).toMatch(/^<[0-9a-f]{40}@example\.com>$/);
  });

  test("gives alerts of two sites that chose the same id a Message-ID and a thread each", () => {
    const custom = alertOf({ type: "CUSTOM" });
    const [here, there] = ["berlin", "paris"].map((site) => mailed(queued(custom, { site })).mail);
    expect(here?.messageId).not.toBe(there?.messageId);
    expect(here?.threadId).not.toBe(there?.threadId);
  });

  test("names one root on every mail of an episode, the first included", async () => {
    for (const { mail } of [opened, closed]) {
      const { references, inReplyTo } = await parsed(mail);
      expect([references, inReplyTo]).toEqual([opened.mail.threadId, opened.mail.threadId]);
    }
    expect(opened.mail.threadId).not.toBe(opened.mail.messageId);
  });

  test("names another root for another episode", () => {
    const again = mailed(queued(problem.alert, { id: "alert-0009" }));
    expect(again.mail.threadId).not.toBe(opened.mail.threadId);
  });
});

describe("headers", () => {
  test("say that nobody should answer", async () => {
    const headers = headersOf(render(mailed(problem).mail).bytes);
    expect(headers).toMatch(/^Auto-Submitted: auto-generated$/m);
    expect(headers).toMatch(/^X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply$/m);
  });

  test("name object, episode and reason", async () => {
    const { mail, entry } = mailed(problem);
    const { headers } = await parsed(mail);
    const value = (name: string) => headers.find(({ key }) => key === name)?.value;
    expect(value("x-hardstate-object")).toBe("web1/HTTP");
    expect(value("x-hardstate-episode")).toBe(Object.values(entry.contacts)[0]?.thread);
    expect(value("x-hardstate-reason")).toBe("R1 first news of this problem");
  });

  test("hold the reverse-path in the envelope alone", async () => {
    const { mail } = mailed(problem);
    expect(mail.envelope).toEqual({ from: "bounce@example.com", to: "ops@example.org" });
    expect(render(mail).bytes.toString("latin1")).not.toContain("bounce@");
  });

  test("have a reverse-path of their own where the settings have a star, by their Message-ID", () => {
    const each = { ...sender, envelopeFrom: "bounces+*@example.com" };
    const { envelope, messageId } = mailed(problem, emptyEntry, each).mail;
    expect(envelope.from).toMatch(/^bounces\+[0-9a-f]{40}@example\.com$/);
    expect(`<${envelope.from.slice("bounces+".length)}>`).toBe(messageId);
  });
});

describe("a subject", () => {
  test.for<[kind: string, Change]>([
    ["PROBLEM CRITICAL", {}],
    ["ACKNOWLEDGEMENT CRITICAL", { type: "ACKNOWLEDGEMENT" }],
    ["DOWNTIMESTART WARNING", { type: "DOWNTIMESTART", state: "WARNING" }],
    ["DOWNTIMECANCELLED UNKNOWN", { type: "DOWNTIMECANCELLED", state: "UNKNOWN" }],
    [
      "FLAPPINGDISABLED UNREACHABLE",
      { type: "FLAPPINGDISABLED", state: "UNREACHABLE", object: { service: null } },
    ],
    ["CUSTOM UP", { type: "CUSTOM", state: "UP", object: { service: null } }],
  ])("begins with %s within 40 characters, however long the name", ([kind, change]) => {
    const object = { host: "h".repeat(255), ...change.object };
    const { subject } = mailed(queued(alertOf({ ...change, object }))).mail;
    expect(subject.slice(0, 40)).toContain(`${kind}] h`);
  });

  test("names a service as host/service and a host alone", () => {
    expect(mailed(problem).mail.subject).toBe("[PROBLEM CRITICAL] web1/HTTP");
    const host = alertOf({ object: { service: null }, state: "DOWN" });
    expect(mailed(queued(host)).mail.subject).toBe("[PROBLEM DOWN] web1");
  });

  test.for([
    ["what looks like an encoded-word", "=?utf-8?Q?RECOVERY_OK?="],
    ["one among words", "disk =?UTF-8?B?T0s=?= space"],
    ["a word of 255 letters", "x".repeat(255)],
    ["Japanese", "日本語サーバー".repeat(12)],
    ["joined emoji", "👩‍🚒🔥".repeat(10)],
    ["Arabic", "مضيف-الويب".repeat(11)],
    ["combining marks", "e\u0301".repeat(80)],
    ["words in other letters", `Größe ${"größer ".repeat(20)}am größten`],
  ])("of a name with %s is read as it was composed, from short lines", async ([, host = ""]) => {
    const { mail } = mailed(queued(alertOf({ object: { host } })));
    const bytes = render(mail).bytes;
    const { subject, headers } = await PostalMime.parse(bytes);
    expect(subject).toBe(mail.subject);
    const object = headers.find(({ key }) => key === "x-hardstate-object")?.value ?? "";
    expect(decodeWords(object)).toBe(`${host}/HTTP`);
    for (const line of headersOf(bytes).split("\r\n")) expect(line.length).toBeLessThanOrEqual(76);
    // RFC 2047 §5: each word is decoded by itself, so none may end inside a character.
    for (const [, way, text = ""] of headersOf(bytes).matchAll(/=\?utf-8\?([QB])\?(.*?)\?=/gi)) {
      const decode = () =>
        way === "B"
          ? new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text, "base64"))
          : decodeURIComponent(text.replaceAll("=", "%"));
      expect(decode).not.toThrow();
    }
  });
});

describe("hostile text", () => {
  const inputs: [string, string][] = [
    ["CRLF", "CPU\r\nBcc: evil@evil.com"],
    ["a lone LF", "CPU\nBcc: evil@evil.com"],
    ["a lone CR", "CPU\rBcc: evil@evil.com"],
    ["U+2028", "CPU\u2028Bcc: evil@evil.com"],
    ["U+2029", "CPU\u2029Bcc: evil@evil.com"],
    ["U+0085", "CPU\u0085Bcc: evil@evil.com"],
    ["NUL", "CPU\0Bcc: evil@evil.com"],
    ["an empty line and a content type", "line1\n\nContent-Type: text/html\n\n<b>"],
    ["a folded header", "CPU\r\n Subject: evil\r\n\tBcc: evil@evil.com"],
    ["an encoded-word in Q", "=?utf-8?Q?x=0D=0ABcc:_evil@evil.com?="],
    ["an encoded-word in B", "=?utf-8?B?eA0KQmNjOiBldmlsQGV2aWwuY29t?="],
    ["an encoded-word beside other letters", "Größe =?utf-8?Q?x=0D=0ABcc:_evil@evil.com?="],
    ["a MIME boundary", "--=_boundary\r\nContent-Type: text/html"],
    ["direction overrides", "a@ok\u202emoc.live@"],
    ["half a surrogate pair", "CPU \ud83d"],
    ["a word that cannot be folded", "x".repeat(255)],
    ["a long word in other letters", "日".repeat(85)],
  ];
  /** The queued alert of a post that says `text` wherever it may say something. */
  const everywhere = (text: string): QueuedAlert => {
    const reading = readPost(
      {
        ...fields,
        id: "alert-0001",
        object: { host: text, service: text, alias: text, address: text, groups: [text] },
        type: "ACKNOWLEDGEMENT",
        author: text,
        comment: text,
        output: text,
        long_output: text.repeat(30),
        perfdata: text,
        recipients: [{ name: text, email: "ops@example.org" }],
      },
      { site: "berlin", now, aliases: new Map(), allowed: () => true },
    );
    if (!reading.ok || !reading.value[0]) throw new Error(JSON.stringify(reading));
    return reading.value[0];
  };

  test.for(inputs)("with %s adds no header and no second subject", async ([, text]) => {
    const { mail } = mailed(everywhere(text));
    const bytes = render(mail).bytes;
    expect(namesOf(bytes)).toEqual(namesOf(render(mailed(everywhere("plain")).mail).bytes));
    const { subject, headers, cc, bcc, to, text: body } = await PostalMime.parse(bytes);
    expect(headers.filter(({ key }) => key === "subject")).toHaveLength(1);
    expect([cc, bcc]).toEqual([undefined, undefined]);
    expect(to).toEqual([{ name: "", address: "ops@example.org" }]);
    expect(subject).toBe(mail.subject);
    expect(body?.trimEnd()).toBe(mail.text.trimEnd());
  });

  test.for(inputs)("with %s makes no line of more than 998 bytes", async ([, text]) => {
    const bytes = render(mailed(everywhere(text)).mail).bytes;
    const longest = Math.max(
      ...bytes
        .toString("latin1")
        .split("\r\n")
        .map(({ length }) => length),
    );
    expect(longest).toBeLessThanOrEqual(998);
  });

  test.for(inputs)("with %s stays on its line and visible where it is a name", ([, text]) => {
    const { mail } = mailed(everywhere(text));
    const labelled = mail.text
      .split("\n")
      .filter((line) => /^(Host|Service|Comment by|Groups|Contact) /.test(line));
    expect(labelled).toHaveLength(5);
    for (const line of [mail.subject, ...labelled]) {
      expect(line).toContain(text.slice(0, 2));
      expect(line).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
    }
  });

  test("in output longer than allowed leaves lines of 998 bytes", async () => {
    const { mail } = mailed(queued(alertOf({ long_output: "€".repeat(40_000) })));
    const lines = render(mail).bytes.toString("latin1").split("\r\n");
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(998);
    expect(mail.text).toContain("The monitor's text was longer; the rest was cut.");
  });
});

describe("HTML", () => {
  const markup = `</pre></td><script>alert(1)</script><img src=http://evil.com/x><a href="javascript:alert(1)">x</a>" onclick='x' style="background:url(http://evil.com)" &amp;`;
  const { html } = mailed(
    queued(
      alertOf({
        object: {
          host: markup.slice(0, 200),
          service: markup.slice(0, 200),
          alias: markup,
          address: markup,
          groups: [markup],
          urls: {
            action: 'https://wiki.example.com/"><script>',
            notes: "javascript:alert(1)",
            info: "data:text/html,<script>",
          },
        },
        author: markup,
        comment: markup,
        output: markup,
        long_output: markup,
        perfdata: markup,
      }),
      { contactName: markup },
    ),
  ).mail;
  const tags = [...(html ?? "").matchAll(/<[a-z!/][^>]*>/gi)].map(([tag]) => tag);

  test("has only our own elements, whatever was sent", () => {
    const names = new Set(tags.map((tag) => tag.replace(/^<\/?([a-z0-9!]+).*$/is, "$1").toLowerCase()));
    expect([...names].sort().join(" ")).toBe(
      "!doctype a b body div head html meta p pre table td th title tr",
    );
  });

  test("shows what was sent as text", () => {
    expect(html).toContain("&lt;/pre&gt;&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(html).toContain("&amp;amp;");
  });

  test("has no remote content", () => {
    const unlinked = tags.map((tag) => tag.replace(/ href="[^"]*"/, ""));
    expect(unlinked.join("\n")).not.toMatch(/\ssrc\s*=|url\(|@import|<link|<script|\son[a-z]+\s*=/i);
  });

  test("links to http and https alone", () => {
    const links = tags.filter((tag) => tag.startsWith("<a")).map((tag) => /href="([^"]*)"/.exec(tag)?.[1]);
    expect(links).toHaveLength(3);
    for (const link of links) expect(link).toMatch(/^https?:\/\/(nagios|wiki)\.example\.com\//);
  });
});

describe("colours", () => {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one: string, other: string) => {
    const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  test.for([
    ["OK", "CUSTOM"],
    ["WARNING", "PROBLEM"],
    ["UNKNOWN", "PROBLEM"],
    ["CRITICAL", "PROBLEM"],
  ])("of %s can be read on a light and on a dark page: each text has its own background", ([state, type]) => {
    const { html } = mailed(queued(alertOf({ state, type, comment: "x", truncated: true }))).mail;
    const styles = [...(html ?? "").matchAll(/ style="([^"]*)"/g)].map(([, style = ""]) => style);
    const coloured = styles.filter((style) => /(^|;)color:(?!inherit)/.test(style));
    expect(coloured).toHaveLength(1);
    for (const style of coloured) {
      const [, background = ""] = /background:(#[0-9a-f]{6})/.exec(style) ?? [];
      const [, text = ""] = /(?:^|;)color:(#[0-9a-f]{6})/.exec(style) ?? [];
      expect(contrast(background, text)).toBeGreaterThanOrEqual(4.5);
    }
  });
});

describe("a link to the monitor", () => {
  test("of a host is the one for hosts", () => {
    const alert = alertOf({ object: { host: "web01", service: null }, state: "DOWN" });
    expect(mailed(queued(alert)).mail.text).toContain("https://nagios.example.com/status?host=web01\n");
  });

  test("holds host and service as one component each", () => {
    const alert = alertOf({ object: { host: "a/b&service=x#{service}", service: "C: $& 100%" } });
    expect(mailed(queued(alert)).mail.text).toContain(
      "https://nagios.example.com/status?host=a%2Fb%26service%3Dx%23%7Bservice%7D&service=C%3A%20%24%26%20100%25\n",
    );
  });

  test("is in no mail by which the bridge tells its operators of itself", () => {
    const [notice] = noticeAlerts({ about: "unreadable", reason: "no JSON" }, ["ops@example.org"], now);
    const { text, html } = mailed(notice as QueuedAlert).mail;
    expect(text + html).not.toContain("nagios.example.com");
  });
});
