import * as v from "valibot";
import { contactKey, parseAddress } from "../address.ts";
import { type Alert, type Reading, read, readAlert } from "../alert.ts";
import { fingerprint, messageGroup } from "../identity.ts";

const text = v.string("text");
const milliseconds = v.pipe(v.number("Unix milliseconds"), v.safeInteger("Unix milliseconds"));

const envelope = v.object(
  {
    v: v.literal(1, "1, the only version known here"),
    /** As the client or, without one, the event's identity gave it; unique within the site. */
    id: v.pipe(text, v.nonEmpty("an id")),
    site: v.pipe(text, v.nonEmpty("a site")),
    /** Other sites use the bridge too, so the subjects of mails name the site. */
    severalSites: v.optional(v.boolean("true or false")),
    /** The mailbox. It goes to RCPT: another program that writes here must not choose what that says. */
    contact: v.pipe(
      text,
      v.check((address) => parseAddress(address).ok, "an address"),
    ),
    /** The name of its owner in the monitor. */
    contactName: v.optional(text),
    /** When the bridge took it, Unix milliseconds of the bridge's clock. */
    receivedAt: milliseconds,
    /** By how many milliseconds the monitor's clock was behind the bridge's when it posted this, if it said. */
    clockBehind: v.optional(milliseconds),
    /** When it was last taken from the dead letters again. */
    putBackAt: v.optional(milliseconds),
    /**
     * The ledger made it itself, by this row (docs/decision-table.md) and for whoever was told of this episode; R46 is a digest,
     * and an episode of its own.
     */
    made: v.optional(
      v.object({ row: v.picklist(["R27", "R37", "R46"], "R27, R37 or R46"), episode: text }, "an object"),
    ),
    alert: v.unknown(),
  },
  "an object",
);
/** An alert on its way to one mailbox. */
export type QueuedAlert = Omit<v.InferOutput<typeof envelope>, "alert"> & { alert: Alert };

/** A message for the queue. Messages of one group are handed out in order, one batch of a group at a time. */
export type OutgoingMessage = {
  group: string;
  deduplicationId: string;
  body: string;
  /** Sites take turns in a queue that can do this, and so do the contacts of a site. */
  site: string;
  contact: string;
  /** The JSON of the alert alone; the body ends with it and one brace. A queue may keep it once for all contacts. */
  alert?: string;
};

/** Names an alert in a queue; SQS allows 128 characters and forgets it after five minutes. */
export const deduplicationId = (site: string, id: string): string => fingerprint("alert", site, id);

// SQS refuses a whole message for one of these characters (SendMessage, "message body"): escape them as JSON may.
const forbiddenInSqs = /[\ud800-\udfff\ufffe\uffff]/g;
const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The messages of one alert's contacts follow each other: its JSON is made once for all. */
let last: { alert: Alert; json: string } | undefined;
const jsonOf = (alert: Alert): string => {
  if (last?.alert !== alert) last = { alert, json: JSON.stringify(alert).replace(forbiddenInSqs, escaped) };
  return last.json;
};

/** The message of one alert. Its group is hash(site, object, contact); it is readable by `readQueuedAlert`. */
export const toMessage = ({ alert, ...queued }: QueuedAlert): OutgoingMessage => {
  const { site, id } = queued;
  const contact = contactKey(queued.contact);
  const json = jsonOf(alert);
  const head = JSON.stringify(queued).replace(forbiddenInSqs, escaped).slice(0, -1);
  return {
    group: messageGroup(site, alert, contact),
    deduplicationId: deduplicationId(site, id),
    body: `${head},"alert":${json}}`,
    site,
    contact,
    alert: json,
  };
};

/** The message of an alert that was held until `due`: with its first id SQS would drop it for five minutes. */
export const toDueMessage = (queued: QueuedAlert, due: number): OutgoingMessage => ({
  ...toMessage(queued),
  deduplicationId: fingerprint("held alert", queued.site, queued.id, String(due)),
});

/** Reads a message body that `toMessage` wrote, perhaps by another version of this program. */
export const readQueuedAlert = (body: string): Reading<QueuedAlert> => {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { ok: false, faults: [{ field: "body", expected: "JSON" }] };
  }
  const queued = read(envelope, json);
  if (!queued.ok) return queued;
  const alert = readAlert(queued.value.alert);
  if (!alert.ok) return alert;
  return { ok: true, value: { ...queued.value, alert: alert.value } };
};

/**
 * The message of a dead letter that is put back. Only `putBackAt` tells the ledger to try it again. AWS's own redrive does
 * not write it, so a message that AWS moves is buried again.
 */
export const putBack = (body: string, now: number) => {
  const queued = readQueuedAlert(body);
  return queued.ok ? toMessage({ ...queued.value, putBackAt: now }) : { body, site: "", contact: "" };
};
