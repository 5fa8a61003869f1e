import { cleanLine, cut, objectName } from "../alert.ts";
import { operatorSite } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";

/** The longest name of a site that a subject shows whole, so that a phone shows the object's name too. */
const mostSiteCharacters = 10;

/**
 * The first word of subject and body if several sites use the bridge, and always if the bridge mails about itself
 * (`operator`); else empty. No text of a site may stand before it. It shows only both ends of a long name.
 */
const siteWord = ({ site, severalSites }: QueuedAlert): string => {
  if (site !== operatorSite && !severalSites) return "";
  const name = cleanLine(site);
  return name.length > mostSiteCharacters ? `${name.slice(0, 6)}~${name.slice(-3)}` : name;
};

/** The beginning of a body, `[berlin] `, or nothing. */
export const siteMark = (queued: QueuedAlert): string => {
  const word = siteWord(queued);
  return word && `[${word}] `;
};

/**
 * `[PROBLEM CRITICAL] web01/HTTP`, or `[berlin PROBLEM CRITICAL] web01/HTTP`. Gmail and RFC 5256 §2.1 take mails for one
 * conversation if their subjects differ in the leading brackets alone.
 */
export const subjectOf = (queued: QueuedAlert, changing: string, constant: string): string =>
  `[${[siteWord(queued), changing].filter(Boolean).join(" ")}] ${constant}`;

const subjectFields = ["type", "state", "host", "service", "object", "output", "site", "monitor"];

/** The form of HARDSTATE_SUBJECT, in the words of a fault. */
export const subjectPattern = `at most 200 characters with {object} or {host}, of the fields ${subjectFields
  .map((field) => `{${field}}`)
  .join(" ")}; it begins with {type}, {state}, {site} or words`;

/**
 * Whether a text may be HARDSTATE_SUBJECT. It begins with text of its own or a field that no monitor's text fills: else an
 * alert could look like a mail of the bridge about itself.
 */
export const isSubjectPattern = (text: string): boolean =>
  !/[{}]/.test(text.replaceAll(/\{(\w+)\}/g, (field, name) => (subjectFields.includes(name) ? "" : field))) &&
  /\{(object|host)\}/.test(text) &&
  /^(\{(type|state|site)\}|(?!\[operator\b)[^{\s])/i.test(text) &&
  text.length <= 200 &&
  !/\p{Cc}/u.test(text);

const mostSubjectBytes = 600;

/** The subject of an alert's mail by HARDSTATE_SUBJECT. A host has `-` for a service. */
export const subjectBy = (pattern: string, { alert, site }: QueuedAlert, type: string): string => {
  const fields: Record<string, string> = {
    type,
    state: alert.state,
    host: alert.object.host,
    service: alert.object.service ?? "-",
    object: objectName(alert),
    output: alert.output ?? "",
    site,
    monitor: alert.monitor.id,
  };
  const text = pattern.replaceAll(/\{(\w+)\}/g, (_, name) => fields[name] ?? "");
  return cut(cleanLine(text).trim(), mostSubjectBytes);
};
