import { html } from "hono/html";
import { stamp } from "../ledger/story.ts";

export type Html = ReturnType<typeof html>;

const bytesOf = (character: string): number => Buffer.byteLength(String(html`${character}`));
/**
 * Foreign text as it may be shown: at most `most` characters and twice as many bytes of HTML, and a visible mark
 * for each one that would break the line or turn its direction.
 */
export const shown = (text: string, most = 120): string => {
  const characters = [...text.replace(/[\p{Cc}\p{Bidi_C}\u2028\u2029]/gu, "\ufffd")];
  let bytes = 0;
  const over = characters.findIndex((character, index) => {
    bytes += bytesOf(character);
    return index >= most || bytes > most * 2;
  });
  return over < 0 ? characters.join("") : `${characters.slice(0, Math.max(over - 1, 0)).join("")}…`;
};
/** Foreign text whose direction ends with it. */
export const foreign = (text: string, most?: number): Html => html`<bdi>${shown(text, most)}</bdi>`;

/** How long ago something was, or in how long it will be, in a word or three. */
export const agoWords = (milliseconds: number): string => {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  if (seconds < 5) return "just now";
  const words =
    seconds < 90
      ? `${seconds} s`
      : seconds < 5400
        ? `${Math.round(seconds / 60)} min`
        : seconds < 172_800
          ? `${Math.round(seconds / 3600)} h`
          : `${Math.round(seconds / 86_400)} d`;
  return milliseconds < 0 ? `in ${words}` : `${words} ago`;
};

const iso = (at: number): string => `${stamp(at).replace(" ", "T")}Z`;
export const timeAt = (at: number): Html => html`<time datetime="${iso(at)}">${stamp(at)}</time>`;
export const ago = (at: number, now: number): Html =>
  html`<time class="ago" datetime="${iso(at)}">${agoWords(now - at)}</time>`;
export const since = (at: number, now: number): Html => html`${timeAt(at)} UTC, ${ago(at, now)}`;
export const state = (name: string): Html => html`<b class="state ${name.toLowerCase()}">${name}</b>`;
export const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;
/** The part of a URL after the path that asks for these; empty without any. */
export const query = (search: Record<string, string | undefined>): string => {
  const given = Object.entries(search).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
};
/** An object or contact that leads to its journal, unless its name is too long to be repeated in an address. */
export const journalLink = (by: "object" | "contact", name: string): Html => {
  const search = query({ [by]: name });
  return search.length > 240 ? foreign(name) : html`<a href="/journal${search}">${foreign(name)}</a>`;
};
/** The path of an alert's story. */
export const storyPath = (id: string): string => `/alerts/${encodeURIComponent(id)}`;

const mostContacts = 3;

/** The first few of these contacts or monitors, and how many more there are. */
export const names = (contacts: readonly string[]): Html =>
  html`${contacts.slice(0, mostContacts).map((contact, index) => html`${index > 0 && ", "}${foreign(contact, 40)}`)}${
    contacts.length > mostContacts && ` and ${contacts.length - mostContacts} more`
  }`;

/** How it stands with an alert, its first word for the eye. */
export const outcomeWords = (outcome: string, most: number): Html => {
  const [, first = "", rest = ""] = /^(\w*)(.*)$/s.exec(shown(outcome, most)) ?? [];
  return html`<bdi><b>${first}</b>${rest}</bdi>`;
};

/** A name and its value in a list of parts. */
export const row = (name: string, value: Html | string): Html =>
  html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
