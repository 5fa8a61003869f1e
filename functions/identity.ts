import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { contactKey } from "./address.ts";
import type { Alert } from "./alert.ts";

/**
 * SHA-256 in hex over `parts`, each preceded by its length in bytes, so that ["ab","c"] and ["a","bc"] differ.
 */
export const digest = (...parts: readonly string[]): string => {
  const hash = sha256.create();
  for (const part of parts) {
    const bytes = utf8ToBytes(part);
    hash.update(utf8ToBytes(`${bytes.length}:`)).update(bytes);
  }
  return bytesToHex(hash.digest());
};

/** Names one object of one site in the ledger: a host, or a host's service. */
export const objectKey = (site: string, { object }: Alert): string =>
  object.service === null
    ? digest("object", site, object.host)
    : digest("object", site, object.host, object.service);

/** Names one contact's entry in the ledger, which counts his mails. */
export const contactEntryKey = (site: string, contact: string): string =>
  digest("contact", site, contactKey(contact));

/** Names what an alert is decided on in the ledger: its object, or for a digest its contact. */
export const entryKey = ({
  site,
  contact,
  alert,
  made,
}: {
  site: string;
  contact: string;
  alert: Alert;
  made?: { row: string };
}): string => (made?.row === "R46" ? contactEntryKey(site, contact) : objectKey(site, alert));

/** Names the host of an alert's object in the ledger. */
export const hostKey = (site: string, { object }: Alert): string => digest("object", site, object.host);

/** The message group: what must stay in order. One object's alerts for one contact. */
export const messageGroup = (site: string, alert: Alert, contact: string): string =>
  digest("group", objectKey(site, alert), contact);

/**
 * Names one notification for one contact, however often it is run, posted or replayed (nagios.md §5.1).
 * The send time, the command and the contact's name are left out: they differ between two runs of the same.
 */
export const eventKey = (site: string, alert: Alert, contact: string): string => {
  const { monitor, object, type, notification, problem, state } = alert;
  const since = String(problem.epoch ?? alert.time);
  const stateful = type === "PROBLEM" || type === "RECOVERY";
  const occurrence = notification.id
    ? // Without its process's start a counter may have begun again (nagios.md §1.5).
      ["id", notification.id, monitor.start === undefined ? since : ""]
    : stateful && notification.number !== undefined
      ? ["number", String(notification.number), state, since]
      : ["time", String(alert.time), state];
  return digest(
    "event",
    site,
    monitor.id,
    String(monitor.start ?? 0),
    object.host,
    object.service === null ? "host" : "service",
    object.service ?? "",
    type,
    ...occurrence,
    contact,
  );
};
