import { printable } from "../deliver/printable.ts";
import type { Returned } from "../deliver/returned.ts";

/** A report's words about one recipient. */
export type Said = { kind: Extract<Returned["kind"], "bounce" | "delay">; reply: string; permanent?: true };

/** The parts of a non-delivery report that the bridge needs. The caller must check whether it is true. */
export type Report = {
  /** The names (identity.ts) of the mails that it returns. */
  returned: string[];
  /** The names in the addresses that it was sent to. */
  sentTo: string[];
  /** Its words about an address, or about its only recipient; undefined: none, or that the mail arrived. */
  about(address?: string): Said | undefined;
};

/** One part of a mail that has no parts of its own, decoded; `head` is unfolded. */
type Part = { head: string; type: string; body: string };

const deepest = 6;
const mostParts = 50;
const mostNames = 10;
/** How many characters of a head, and how many lines of text, are read. */
const mostHead = 65_536;
const mostLines = 5000;
const copies = /^(?:message\/(?:rfc822|global)|(?:text|message)\/(?:rfc822|global)-headers)$/;
const statuses = /^message\/(?:global-)?delivery-status$/;

// Every expression here may see a hostile megabyte of text, so none may backtrack.
const field = (head: string, name: string): string =>
  new RegExp(`^${name}:(.*)`, "im").exec(head)?.[1]?.trim() ?? "";
const unfold = (text: string): string => text.replace(/\n[ \t]/g, " ");

const decode = (body: string, encoding: string): string => {
  if (/^base64$/i.test(encoding)) return Buffer.from(body, "base64").toString().replaceAll("\r\n", "\n");
  if (!/^quoted-printable$/i.test(encoding)) return body;
  return body
    .replaceAll("=\n", "")
    .replace(/(?:=[\dA-F]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll("=", ""), "hex").toString());
};

const splitHead = (text: string): { head: string; body: string } => {
  const end = text.startsWith("\n") ? 0 : text.indexOf("\n\n");
  const head = unfold((end < 0 ? text : text.slice(0, end)).slice(0, mostHead));
  return { head, body: end < 0 ? "" : text.slice(end + (end === 0 ? 1 : 2)) };
};

const partsOf = (text: string, depth = 0): Part[] => {
  const { head, body } = splitHead(text);
  const [type = ""] = (field(head, "content-type") || "text/plain").toLowerCase().split(/[ ;]/);
  const boundary = /[; \t]boundary="?([^";\n]{1,200})/i.exec(field(head, "content-type"))?.[1]?.trimEnd();
  if (!type.startsWith("multipart/") || !boundary || depth === deepest)
    return [{ head, type, body: decode(body, field(head, "content-transfer-encoding")) }];
  const parts = `\n${body}`.split(`\n--${boundary}`, mostParts).slice(1);
  const last = parts.findIndex((part) => part.startsWith("--"));
  return parts
    .slice(0, last < 0 ? undefined : last)
    .flatMap((part) => partsOf(part.slice(part.indexOf("\n") + 1), depth + 1));
};

/** The text of an HTML page, good enough to find addresses and replies in it. */
const plain = (html: string): string =>
  html
    .replace(/<style[^<>]*>[^<]*/gi, "")
    .replace(/<(?:br|\/?(?:p|div|pre|tr|li|h\d))\b[^<>]*>/gi, "\n")
    .replace(/<[^<>]*>/g, "")
    .replace(/&(lt|gt|nbsp|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name as string] ?? " ");

const systems = /mailer-?daemon|postmaster|mail delivery|delivery system|microsoftexchange/i;
const late = /delayed|not yet been delivered|non-fatal|warning message only|could not send message for past/i;
const failed =
  /permanent|fail|undeliver|n[o']t (?:be|yet|been) delivered|not delivered|n[o']t able to deliver|unable to deliver|did not reach/i;
/** An SMTP reply's code, or an enhanced one (RFC 3463); the second is one of those that may pass. */
const code = /(?<![\d.:+-])[45]\d\d[ -]|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])/;
const passing = /(?<![\d.:+-])4\d\d[ -]|(?<![\d.])4\.\d{1,3}\.\d{1,3}(?![\d.])/;
const beginsCopy = (line: string): boolean =>
  /^(?:received|return-path|dkim-signature|message-id|original message headers):/i.test(line) ||
  (/^ *--/.test(line) && /copy of|original message/i.test(line));

const mostCharacters = 1000;
const linesAfter = 12;

/** Reads the text of a report that is written for people. It speaks about an address only if it contains it. */
const readWords = (parts: readonly Part[], mailHead: string) => {
  const all = parts
    .filter(({ type }) => type.startsWith("text/") && !copies.test(type))
    .flatMap(({ type, body }) => (type === "text/html" ? plain(body) : body).split("\n", mostLines))
    .map((line) => line.slice(0, mostCharacters));
  const copy = all.findIndex(beginsCopy);
  const lines = all.slice(0, copy < 0 ? undefined : copy);
  const told = [field(mailHead, "subject"), ...lines];
  const names = (line: string, address: string) =>
    line
      .toLowerCase()
      .split(/[\s<>()[\]"',;:]+/)
      .includes(address);
  return (address: string | undefined): Said | undefined => {
    const naming = lines
      .flatMap((line, index) => (address === undefined || names(line, address) ? [index] : []))
      .slice(0, mostNames);
    if (naming.length === 0 && !names(field(mailHead, "x-failed-recipients"), address ?? ""))
      return undefined;
    const coded = lines.findIndex(
      (line, index) => code.test(line) && naming.some((at) => at <= index && index < at + linesAfter),
    );
    // Where no code is near, the line that begins with the address counts: an earlier one may only name the recipient.
    const own = naming.find(
      (index) =>
        /^[\s<"'(]*/.exec(lines[index] ?? "")?.[0].length ===
        lines[index]?.toLowerCase().indexOf(address ?? ""),
    );
    const said = lines.slice(coded < 0 ? (own ?? naming[0] ?? 0) : coded);
    const end = said.findIndex((line, index) => index > 0 && line.trim() === "");
    const reply = printable(
      said
        .slice(0, end < 0 ? linesAfter : end)
        .join(" ")
        .replace(/\s+/g, " "),
    );
    if (told.some((line) => late.test(line))) return { kind: "delay", reply };
    if (coded < 0 && !told.some((line) => failed.test(line))) return undefined;
    return { kind: "bounce", reply, ...(!passing.test(reply) && { permanent: true }) };
  };
};

const addressIn = (typed: string): string =>
  typed
    .replace(/^[\w-]+ *;/, "")
    .replace(/[<>\s]/g, "")
    .toLowerCase();

/**
 * Each recipient of a message/delivery-status (RFC 3464 §2.3). The words about it are searched on demand: a hostile
 * report has thousands of recipients, and thousands of lines to be searched for each.
 */
const readStatus = (body: string, words: (address: string) => Said | undefined) =>
  body.split(/\n[ \t]*\n/, mostParts).flatMap((group) => {
    const told = unfold(group);
    const [action, status] = [field(told, "action").toLowerCase(), field(told, "status")];
    const addresses = ["original-recipient", "final-recipient"]
      .map((name) => addressIn(field(told, name)))
      .filter(Boolean);
    if (addresses.length === 0) return [];
    const said = (): Said | undefined => {
      if (action !== "failed" && action !== "delayed") return undefined;
      const diagnosis = field(told, "diagnostic-code").replace(/^[\w-]+ *; */, "");
      const reason = diagnosis || addresses.map((address) => words(address)?.reply).find(Boolean) || "";
      const reply = printable(reason.includes(status) ? reason : `${status} ${reason}`);
      if (action === "delayed") return { kind: "delay", reply };
      return { kind: "bounce", reply, ...(status.startsWith("5") && { permanent: true }) };
    };
    return [{ addresses, said }];
  });

const namesIn = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name.toLowerCase()))].slice(0, mostNames);

/**
 * Reads a mail as a non-delivery report: by RFC 3464, or by the words of Exchange, Exim, Sendmail, qmail and their
 * like. `to` is the address that it came for, where that is known. Undefined: it is no report, or says nothing.
 */
export const readReport = (mail: string, to = ""): Report | undefined => {
  const text = mail.replaceAll("\r\n", "\n").replace(/^\n+/, "");
  const { head } = splitHead(text);
  const parts = partsOf(text);
  const words = readWords(parts, head);
  const statusParts = parts.filter(({ type }) => statuses.test(type));
  const status = statusParts.flatMap(({ body }) => readStatus(body, words));
  if (statusParts.length === 0) {
    const isSystem = systems.test(field(head, "from")) || field(head, "x-failed-recipients") !== "";
    if (!isSystem) return undefined;
  }
  const bodies = parts.map(({ type, body }) => (type === "text/html" ? plain(body) : body)).join("\n\n");
  const addressed = ["to", "delivered-to", "x-original-to", "envelope-to"].map((name) => field(head, name));
  return {
    returned: namesIn(
      bodies,
      /^(?:(?:X-)?(?:Original-)?Message-ID:[ \n]{0,3}<|Original-Envelope-Id: {0,3})([\da-f]{40})\b/gim,
    ),
    sentTo: namesIn([to, ...addressed].join("\n"), /(?<![\da-f])([\da-f]{40})(?![\da-f])/gi),
    about: (address) => {
      if (statusParts.length === 0) return words(address?.toLowerCase());
      if (address === undefined) return status.length === 1 ? status[0]?.said() : undefined;
      return status.find(({ addresses }) => addresses.includes(address.toLowerCase()))?.said();
    },
  };
};
