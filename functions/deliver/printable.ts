import { withoutBidi } from "../alert.ts";

/** A reply for people: at most 500 characters, none of which a terminal obeys or changes the direction of text. */
export const printable = (text: string): string =>
  withoutBidi(text)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .trim()
    .slice(0, 500);

/** The forms in which servers repeat what they were sent: as it is, percent-encoded, or within base64. */
const formsOf = (secret: string): string[] => {
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    // The first and the last character of base64 depend on what stands around the secret.
    const [first, last] = [Math.ceil((before * 8) / 6), Math.floor((text.length * 8) / 6)];
    return text.toString("base64").slice(first, last);
  });
  // A lone surrogate, which JSON may bring, is no URI's.
  const encoded = [
    encodeURIComponent(secret.toWellFormed()),
    new URLSearchParams({ "": secret }).toString().slice(1),
  ];
  return [secret, ...[...encoded, ...within].filter(({ length }) => length > 3)];
};

/** A text with `[redacted]` for each occurrence of a form, also where it is cut off behind its first half. */
const withoutForm = (text: string, form: string): string => {
  const half = form.slice(0, Math.min(form.length, Math.max(8, Math.ceil(form.length / 2))));
  const [before = "", ...parts] = text.split(half);
  return [
    before,
    ...parts.map((part) => {
      let cut = 0;
      while (cut < form.length - half.length && part[cut] === form[half.length + cut]) cut += 1;
      return part.slice(cut);
    }),
  ].join("[redacted]");
};

/** A text with `[redacted]` for each of these secrets, whatever form it has, whole or cut off. */
export const withoutSecrets = (text: string, secrets: readonly (string | undefined)[]): string =>
  secrets
    .flatMap((secret) => (secret ? formsOf(secret) : []))
    .sort((one, other) => other.length - one.length)
    .reduce(withoutForm, text);
