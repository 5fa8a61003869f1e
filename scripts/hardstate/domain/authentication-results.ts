import type { DomainCheck } from "../stages.ts";

/** One result in a header Authentication-Results, such as `spf=pass`. */
export type MethodResult = {
  method: string;
  result: string;
  /** The text in comments, where receivers say why. */
  comment: string;
  /** Such as `header.from` → example.com. */
  properties: ReadonlyMap<string, string>;
};

/** The results that the receiver of a mail wrote (RFC 8601). `server`: its name, if it gives one. */
export type AuthenticationResults = { server: string; from: string; results: readonly MethodResult[] };

/** The header fields of a mail's source, unfolded, in order. */
const fieldsOf = (source: string): { name: string; value: string }[] => {
  const [head = ""] = source
    .replaceAll("\r\n", "\n")
    .replace(/^\s+/, "")
    .split(/\n[ \t]*\n/);
  return head
    .replaceAll(/\n[ \t]+/g, " ")
    .split("\n")
    .flatMap((line) => {
      const [, name = "", value = ""] = /^([!-9;-~]+)[ \t]*:(.*)$/s.exec(line) ?? [];
      return name ? [{ name: name.toLowerCase(), value }] : [];
    });
};

type Part = { text: string; comment: string };

/** Cuts a value at the semicolons that are in no comment and no quoted string, and takes the comments out. */
const partsOf = (value: string): Part[] => {
  const parts: Part[] = [];
  let part: Part = { text: "", comment: "" };
  let [depth, quoted] = [0, false];
  const end = () => {
    parts.push({ text: part.text.trim(), comment: part.comment.trim() });
    part = { text: "", comment: "" };
  };
  for (let at = 0; at < value.length; at += 1) {
    const escaped = value[at] === "\\" && (quoted || depth > 0);
    if (escaped) at += 1;
    const sign = value[at] ?? "";
    if (escaped) part[depth > 0 ? "comment" : "text"] += sign;
    else if (sign === '"' && depth === 0) quoted = !quoted;
    else if (sign === "(" && !quoted) {
      depth += 1;
      if (depth === 1) part.comment += " ";
    } else if (sign === ")" && depth > 0) {
      depth -= 1;
      part.text += " ";
    } else if (depth > 0) part.comment += sign;
    else if (sign === ";" && !quoted) end();
    else part.text += quoted && /\s/.test(sign) ? "_" : sign;
  }
  end();
  return parts;
};

const resultOf = ({ text, comment }: Part): MethodResult[] => {
  const words = text
    .split(/\s+/)
    .join(" ")
    .replaceAll(/ ?([=/.]) ?/g, "$1")
    .split(" ");
  const pairs = words.flatMap((word): [string, string][] => {
    const [, name, value] = /^([\w.-]+)(?:\/\d+)?=(.+)$/.exec(word) ?? [];
    return name && value ? [[name.toLowerCase(), value]] : [];
  });
  const [first, ...properties] = pairs;
  if (!first) return [];
  return [{ method: first[0], result: first[1].toLowerCase(), comment, properties: new Map(properties) }];
};

const mostCharacters = 1_000_000;

/**
 * Reads the results that the last receiver of a mail wrote at its top; undefined if it wrote none. Headers further
 * down with another name are another's, and may be forged.
 */
export const readAuthenticationResults = (source: string): AuthenticationResults | undefined => {
  const fields = fieldsOf(source.slice(0, mostCharacters));
  const from = /@([^\s>@]+)>?\s*$/.exec(fields.find(({ name }) => name === "from")?.value ?? "")?.[1] ?? "";
  const headers = fields
    .filter(({ name }) => name === "authentication-results")
    .map(({ value }) => {
      const parts = partsOf(value);
      // Microsoft 365 leaves its own name out.
      const named = !parts[0]?.text.includes("=");
      const server = named ? (parts[0]?.text.split(/\s/)[0] ?? "") : "";
      return { server, results: parts.slice(named ? 1 : 0).flatMap(resultOf) };
    });
  const [top] = headers;
  if (!top) return undefined;
  const results = headers.filter(({ server }) => server === top.server).flatMap((one) => one.results);
  return { server: top.server, from: from.toLowerCase(), results };
};

/** One line for a person: what a receiver found, and what to do. */
export type Verdict = DomainCheck & { check: "spf" | "dkim" | "dmarc" };

const domainOf = (text: string | undefined): string =>
  (text ?? "").slice((text ?? "").lastIndexOf("@") + 1).toLowerCase();

const spfWords = new Map([
  ["fail", "the relay's address is not among those that may send for it"],
  ["softfail", "the relay's address is not among those that may send for it"],
  ["neutral", "its SPF record says nothing about the relay's address"],
  ["none", "it has no SPF record"],
  ["permerror", "its SPF record is faulty"],
]);

const spfVerdict = ({ results, from }: AuthenticationResults): Verdict => {
  const found = results.find(({ method }) => method === "spf");
  if (!found) return { check: "spf", result: "unknown", detail: "the receiver says nothing about SPF" };
  const { result, comment, properties } = found;
  const domain = domainOf(properties.get("smtp.mailfrom") ?? properties.get("smtp.helo"));
  const said = comment ? ` (${comment})` : "";
  if (result === "pass")
    return {
      check: "spf",
      result: "pass",
      detail: `the relay may send for ${domain || "the envelope sender"}${domain && from && domain !== from ? `, which is not ${from}` : ""}${said}`,
    };
  if (result === "temperror")
    return {
      check: "spf",
      result: "unknown",
      detail: `DNS did not answer the receiver: send another mail${said}`,
    };
  return {
    check: "spf",
    result: "fail",
    detail: `${result} for ${domain || "the envelope sender"}: ${spfWords.get(result) ?? "the receiver does not accept it"}${said}`,
    advice:
      result === "permerror"
        ? "Correct the record: hardstate doctor names what is wrong with it."
        : `Add the relay to the SPF record of ${domain || "the envelope sender's domain"}: its provider's include, or the address that the receiver names.`,
  };
};

const dkimVerdict = ({ results, from }: AuthenticationResults): Verdict => {
  const found = results.filter(({ method }) => method === "dkim");
  const signer = ({ properties }: MethodResult) =>
    domainOf(properties.get("header.d") ?? properties.get("header.i"));
  const good = found.filter(({ result }) => result === "pass").map(signer);
  if (good.length > 0)
    return { check: "dkim", result: "pass", detail: `signed for ${[...new Set(good)].join(", ")}` };
  const [first] = found.filter(({ result }) => result !== "none");
  if (!first)
    return {
      check: "dkim",
      result: "warning",
      detail: found.length > 0 ? "the mail has no signature" : "the receiver says nothing about a signature",
      advice: `Have the relay sign with DKIM for ${from || "the domain of From"}: then DMARC does not depend on SPF, and forwarded mail passes too.`,
    };
  if (first.result === "temperror")
    return { check: "dkim", result: "unknown", detail: "DNS did not answer the receiver: send another mail" };
  return {
    check: "dkim",
    result: "fail",
    detail: `${first.result} for ${signer(first)}${first.comment ? ` (${first.comment})` : ""}`,
    advice:
      "Compare the key in DNS with the relay's (hardstate doctor --selector NAME), and look for a program that changes the mail after it is signed.",
  };
};

const dmarcVerdict = ({ results, from }: AuthenticationResults, spf: Verdict, dkim: Verdict): Verdict => {
  const found = results.find(({ method }) => method === "dmarc");
  const domain = domainOf(found?.properties.get("header.from")) || from || "the domain of From";
  const said = found?.comment ? ` (${found.comment})` : "";
  const align = `Have SPF or DKIM pass for ${domain} itself: an envelope sender of ${domain}, or a signature with d=${domain}.`;
  if (found?.result === "pass")
    return { check: "dmarc", result: "pass", detail: `the mail counts as sent by ${domain}${said}` };
  if (found?.result === "temperror")
    return {
      check: "dmarc",
      result: "unknown",
      detail: "DNS did not answer the receiver: send another mail",
    };
  if (found && !["none", "bestguesspass"].includes(found.result)) {
    const other = spf.result === "pass" || dkim.result === "pass";
    return {
      check: "dmarc",
      result: "fail",
      detail: `${found.result} for ${domain}${said}${other ? ": what passed is of another domain" : ""}`,
      advice: other ? align : `Correct SPF or DKIM first. ${align}`,
    };
  }
  const none = found ? `${domain} has no DMARC policy` : "the receiver says nothing about DMARC";
  if (spf.result === "pass" || dkim.result === "pass")
    return { check: "dmarc", result: "warning", detail: none };
  return {
    check: "dmarc",
    result: "fail",
    detail: `${none}, and neither SPF nor DKIM vouches for the mail`,
    advice: align,
  };
};

/** A receiver's results about our mail, in words: SPF, DKIM and then DMARC, which decides. */
export const verdictsOf = (read: AuthenticationResults): [spf: Verdict, dkim: Verdict, dmarc: Verdict] => {
  const [spf, dkim] = [spfVerdict(read), dkimVerdict(read)];
  const dmarc = dmarcVerdict(read, spf, dkim);
  const enough = (one: Verdict): Verdict =>
    dmarc.result !== "fail" && one.result === "fail" ? { ...one, result: "warning" } : one;
  return [enough(spf), enough(dkim), dmarc];
};
