import { describe, expect, it } from "vitest";
import { readAlert } from "../functions/alert.ts";
import { compose } from "../functions/compose/mail.ts";
import { readSettings } from "../functions/config.ts";
import { storyPage } from "../functions/console/story.ts";
import { emptyEntry } from "../functions/decide/entry.ts";
import { defaultPolicy } from "../functions/decide/policy.ts";
import { decide } from "../functions/decide/verdict.ts";
import { queueIdOf } from "../functions/deliver/outcome.ts";
import { printable } from "../functions/deliver/printable.ts";
import { readReport } from "../functions/intake/delivery-report.ts";
import { readPost } from "../functions/intake/post.ts";
import { newRecord } from "../functions/ledger/journal.ts";
import { asText } from "../functions/report/log.ts";
import { environmentFile } from "../scripts/hardstate/import/draft.ts";
import { shown } from "../scripts/hardstate/import/findings.ts";
import { replayWords } from "../scripts/hardstate/replay.ts";
import { posted, queuedAlert } from "./world/alerts.ts";

const bidiControls = Array.from({ length: 0x1_1000 }, (_, code) => String.fromCodePoint(code)).filter(
  (character) => /\p{Bidi_Control}/u.test(character),
);
/** All these characters, each between two letters. */
const hostile = `a${bidiControls.join("a")}a`;
const clean = "a".repeat(bidiControls.length + 1);
const without = (text: string) => expect(text).not.toMatch(/\p{Bidi_Control}/u);

const texts = {
  object: {
    host: hostile,
    service: hostile,
    alias: hostile,
    address: hostile,
    display: hostile,
    groups: [hostile],
  },
  author: hostile,
  comment: hostile,
  output: `${hostile}\n${hostile}`,
  long_output: hostile,
  perfdata: hostile,
  custom: { _HOSTRACK: hostile },
  notification: { id: "101", number: 1, recipients: [hostile] },
};
const alert = () => {
  const reading = readPost(
    { ...posted(texts), recipients: [{ name: hostile, email: "ops@example.com" }, { email: hostile }] },
    { site: "site", now: 1_800_000_000_000, aliases: new Map(), allowed: () => true },
  );
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading;
};
const queuedOne = () => alert().value[0] ?? queuedAlert();

const places: Record<string, () => string> = {
  "an alert": () => JSON.stringify(readAlert(posted(texts))),
  "a contact's name, and a rejected address": () => JSON.stringify(alert()),
  "a mail": () => {
    const queued = queuedOne();
    const verdict = decide({ entry: emptyEntry }, queued, defaultPolicy, queued.receivedAt);
    if (verdict.action !== "send") throw new Error("a problem is mailed");
    const from = { address: "nagios@example.com" };
    return JSON.stringify(compose(queued, verdict, 0, { from, envelopeFrom: from.address }));
  },
  "the name of our sender": () => {
    const reading = readSettings({
      HARDSTATE_TOKENS: `site=${"x".repeat(24)}`,
      HARDSTATE_RELAYS: "smtp://relay.example.com",
      HARDSTATE_FROM: `${hostile} <nagios@example.com>`,
      HARDSTATE_RECIPIENTS: "example.com",
    });
    if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
    return reading.value.sender.from.name ?? "no name";
  },
  "a relay's reply": () => printable(`550 5.1.1 ${hostile}`),
  "a relay's queue id": () => String(queueIdOf(`250 2.0.0 ${hostile} Message accepted for delivery`)),
  "another relay's queue id": () => String(queueIdOf(`250 2.0.0 OK 1700000000 ${hostile} - gsmtp`)),
  "a report of mail that came back": () => {
    const report = readReport(
      [
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.example.com",
        "",
        "Final-Recipient: rfc822; ops@example.com",
        "Action: failed",
        "Status: 5.1.1",
        `Diagnostic-Code: smtp; 550 5.1.1 ${hostile}`,
      ].join("\n"),
    );
    const said = report?.about("ops@example.com")?.reply;
    expect(said).toContain("550 5.1.1 a");
    return String(said);
  },
  "a line of the log": () =>
    asText({ event: "repeated", id: "alert-0001", object: hostile, contact: hostile, reason: hostile }, 0),
  // Text that a ledger keeps from before may have any of them.
  "a page of the console": () => {
    const queued = { ...queuedOne(), contactName: hostile };
    const record = {
      ...newRecord(queued),
      host: hostile,
      service: hostile,
      contact: hostile,
      monitor: hostile,
    };
    return String(storyPage({ site: "site", now: 0, formToken: "" } as never, record));
  },
  "a name in an imported file": () => shown(hostile),
  "the comments of an imported file": () =>
    environmentFile(
      {
        lines: [],
        notes: [{ file: "aliases", line: 1, sort: "attention", what: hostile, why: hostile }],
      } as never,
      [hostile],
      false,
    ),
  "the words of a replay": () =>
    replayWords(
      {
        lines: 1,
        notifications: 1,
        states: 1,
        commands: { [hostile]: 1, other: 1 },
        contacts: { [hostile]: { nagios: 1, hardstate: 1 } },
        suppressed: {},
        mailed: {},
        digested: 0,
        broken: [],
        remarks: [],
        all: [
          {
            at: 0,
            object: hostile,
            contact: hostile,
            type: "PROBLEM",
            state: "DOWN",
            row: "R1",
            reason: hostile,
          },
        ],
      },
      true,
    ).join("\n"),
};

describe("Unicode's characters for the direction of writing", () => {
  it("are these", () => {
    expect(bidiControls.map((one) => one.codePointAt(0)?.toString(16))).toEqual(
      "61c 200e 200f 202a 202b 202c 202d 202e 2066 2067 2068 2069".split(" "),
    );
  });

  it.each(Object.keys(places))("are not in %s", (place) => {
    without(places[place]?.() ?? "no place");
  });

  it("are left out of a host's name, and nothing else is", () => {
    expect(queuedOne().alert.object.host).toBe(clean);
  });
});
