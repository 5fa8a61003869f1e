import { createHash } from "node:crypto";
import { contactKey } from "./address.ts";
import type { Alert } from "./alert.ts";

/** SHA-256 in hex over `parts`, each after its length in bytes, so that ["ab","c"] and ["a","bc"] differ. */
export const fingerprint = (...parts: readonly string[]): string =>
  createHash("sha256")
    .update(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(""))
    .digest("hex");

/** Names one mail: the part of its Message-ID before the @, which its ENVID and, if wanted, its reverse-path have too. */
export const mailName = (messageId: string): string => messageId.slice(1, messageId.indexOf("@"));

/** Names one object of one site in the ledger: a host, or a host's service. */
export const objectKey = (site: string, { object }: Alert): string =>
  object.service === null
    ? fingerprint("object", site, object.host)
    : fingerprint("object", site, object.host, object.service);

/** Names one contact's entry in the ledger, which counts his mails. */
export const contactEntryKey = (site: string, contact: string): string =>
  fingerprint("contact", site, contactKey(contact));

type Decided = { site: string; contact: string; alert: Alert; made?: { row: string } };
/** Names what an alert is decided on in the ledger: its object, or for a digest its contact. */
export const entryKey = ({ site, contact, alert, made }: Decided): string =>
  made?.row === "R46" ? contactEntryKey(site, contact) : objectKey(site, alert);

/** Names the host of an alert's object in the ledger. */
export const hostKey = (site: string, { object }: Alert): string => fingerprint("object", site, object.host);

/** The message group: what must stay in order. One object's alerts for one contact. */
export const messageGroup = (site: string, alert: Alert, contact: string): string =>
  fingerprint("group", objectKey(site, alert), contact);

/** The name of one notification of an object, beside its monitor and type. */
const occurrenceOf = ({ monitor, type, notification, problem, state, time }: Alert): string[] => {
  const since = String(problem.epoch ?? time);
  // Without its process's start a counter may have begun again (docs/nagios.md §1.5).
  if (notification.id) return ["id", notification.id, monitor.start === undefined ? since : ""];
  const stateful = type === "PROBLEM" || type === "RECOVERY";
  if (stateful && notification.number !== undefined)
    return ["number", String(notification.number), state, since];
  return ["time", String(time), state];
};

/**
 * Tells apart the notifications of one second that have nothing but their texts to tell them apart. Undefined: the
 * event key is enough, or the alert lost its texts on the way and may be any of them.
 */
export const textKey = (alert: Alert): string | undefined =>
  alert.degraded || occurrenceOf(alert)[0] !== "time"
    ? undefined
    : fingerprint("texts", alert.output ?? "", alert.comment ?? "");

/**
 * Names one notification for one contact, however often it is run, posted or replayed (docs/nagios.md §5.1); `textKey` adds
 * to it. The send time, the command and the contact's name are left out: they differ between two runs of the same.
 */
export const eventKey = (site: string, alert: Alert, contact: string): string => {
  const { monitor, object, type } = alert;
  return fingerprint(
    "event",
    site,
    monitor.id,
    String(monitor.start ?? 0),
    object.host,
    object.service === null ? "host" : "service",
    object.service ?? "",
    type,
    ...occurrenceOf(alert),
    contact,
  );
};

/**
 * The id of an alert that was posted without one: the same whenever the event is posted again. An alert that lost its
 * texts has another, so that the queue takes the one with texts that may follow (R39).
 */
export const derivedId = (site: string, alert: Alert, contact: string): string =>
  fingerprint(
    "alert id",
    eventKey(site, alert, contact),
    textKey(alert) ?? "",
    alert.degraded ? "degraded" : "",
  ).slice(0, 32);

/** The site of what the bridge reports about itself. */
export const operatorSite = "operator";
