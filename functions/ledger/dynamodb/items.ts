import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { Entry } from "../../decide/entry.ts";
import { keepMilliseconds } from "../ledger.ts";
import { readEntry } from "../read-entry.ts";

export type Item = Record<string, AttributeValue>;
export type Value = string | number | Uint8Array | undefined;
export type Key = { pk: string; sk: string };

export const attribute = (value: string | number | Uint8Array): AttributeValue => {
  if (typeof value === "string") return { S: value };
  return typeof value === "number" ? { N: String(value) } : { B: value };
};
export const text = (item: Item, name: string): string => item[name]?.S ?? "";
export const number = (item: Item | undefined, name: string): number => Number(item?.[name]?.N ?? 0);
// An item ends at 400 KB: what is long repeats itself, be it the tries of a mail or one alert for many contacts.
export const packed = (body: string): Uint8Array =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
export const unpacked = (body: Uint8Array): string => brotliDecompressSync(body).toString();
const readableCharacters = 50_000;
export const bodyOf = (value: object): string | Uint8Array => {
  const body = JSON.stringify(value);
  return body.length > readableCharacters ? packed(body) : body;
};
export const parse = <T>(item: Item): T =>
  JSON.parse(item.body?.B ? unpacked(item.body.B) : text(item, "body")) as T;

export const recordAt = (pk: string): Key => ({ pk, sk: "record" });
export const recordKey = ({ site, id }: { site: string; id: string }): Key => recordAt(`alert ${site} ${id}`);
export const nameOf = ({ pk, sk }: Key): string => `${pk}\n${sk}`;

/** Times and names as one string that sorts as they do. */
export const sortable = (at: number, name: string): string => `${String(at).padStart(16, "0")}.${name}`;

export const entryOf = (item: Item): Entry => readEntry(parse(item), number(item, "revision"));
/** A document of an item with its revision. */
export const noteOf = <T extends { revision: number }>(item: Item): T => ({
  ...parse<T>(item),
  revision: number(item, "revision"),
});
export const placeOf = (item: Item) => ({ host: text(item, "host"), service: item.service?.S ?? null });
export const keyIn = (item: Item): Key => ({ pk: text(item, "pk"), sk: text(item, "sk") });

/** TTL is in seconds, and deletes within some days after it. */
export const expiresAfter = (at: number): number => Math.ceil((at + keepMilliseconds) / 1000);
