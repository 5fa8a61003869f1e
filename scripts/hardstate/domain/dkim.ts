import { createPublicKey } from "node:crypto";
import { type Dns, NoAnswer } from "./dns.ts";
import { tagsOf } from "./tags.ts";

/** How good the DKIM key of a selector is (RFC 6376 §3.6.1, RFC 8301, RFC 8463). */
export type Dkim = { result: "good" | "weak" | "bad" | "unknown"; detail: string };

/** A key's kind and strength; undefined if the bytes are no key. */
const keyWords = (kind: string, bytes: Buffer): { words: string; bits: number } | undefined => {
  if (kind === "ed25519") return bytes.length === 32 ? { words: "Ed25519", bits: 2048 } : undefined;
  for (const type of ["spki", "pkcs1"] as const)
    try {
      const bits = createPublicKey({ key: bytes, format: "der", type }).asymmetricKeyDetails?.modulusLength;
      if (bits) return { words: `RSA with ${bits} bits`, bits };
    } catch {
      // RFC 6376 names one form and its examples show the other: the next one is tried.
    }
  return undefined;
};

/** Reads the key that a selector has at a domain. */
export const dkimOf = async (selector: string, domain: string, dns: Dns): Promise<Dkim> => {
  const name = `${selector}._domainkey.${domain}`;
  let records: string[];
  try {
    ({ records } = await dns.txt(name));
  } catch (error) {
    if (error instanceof NoAnswer) return { result: "unknown", detail: error.message };
    throw error;
  }
  const bad = (why: string): Dkim => ({ result: "bad", detail: `${name} ${why}` });
  const [record, second] = records;
  if (record === undefined) return bad("does not exist");
  if (second !== undefined) return bad(`has ${records.length} records, and only one is allowed`);
  const tags = tagsOf(record);
  if (!tags || !/^(DKIM1)?$/.test(tags.get("v") ?? "")) return bad("is no DKIM key");
  const key = tags.get("p")?.replaceAll(/\s/g, "");
  if (key === undefined) return bad("has no p=");
  if (key === "") return bad("is revoked (its p= is empty)");
  const split = (tag: string, usual: string) =>
    (tags.get(tag) ?? usual)
      .toLowerCase()
      .split(":")
      .map((word) => word.trim());
  if (!split("h", "sha256").includes("sha256")) return bad("allows no SHA-256");
  if (!split("s", "*").some((service) => ["*", "email"].includes(service))) return bad("is not for mail");
  const kind = (tags.get("k") ?? "rsa").toLowerCase();
  if (kind !== "rsa" && kind !== "ed25519")
    return bad(`has a key type that receivers do not know (k=${kind})`);
  const found = keyWords(kind, Buffer.from(key, "base64"));
  if (!found) return bad("has a p= that is no key, perhaps cut off");
  const { words, bits } = found;
  if (bits < 1024) return bad(`is ${words}, and receivers accept no signature by a key below 1024`);
  const weak = [
    ...(bits < 2048 ? ["2048 bits are recommended"] : []),
    ...(split("t", "").includes("y") ? ["t=y says that it is only a test"] : []),
  ];
  return { result: weak.length > 0 ? "weak" : "good", detail: [`${name} is ${words}`, ...weak].join("; ") };
};
