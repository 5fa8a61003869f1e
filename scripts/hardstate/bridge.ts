import { join } from "node:path";
import type { Fault } from "../../functions/alert.ts";
import { isUrlWithoutLogin } from "../../functions/deliver/relay-url.ts";
import { fileText, NotFoundOut, type Values, WrongUse, wordOf } from "./command.ts";

/** The form of an alert's id. */
export const idForm = /^[A-Za-z0-9._-]{8,80}$/;

/** The tokens to try: those of the settings, or the trial's. */
const tokensOf = ({ "token-file": file }: Values): string[] => {
  const { HARDSTATE_TOKENS, HARDSTATE_TOKENS_FILE, HARDSTATE_STATE = ".hardstate" } = process.env;
  const given = wordOf(file);
  if (given) return [fileText(given, "The token file")];
  const pairs =
    HARDSTATE_TOKENS ?? (HARDSTATE_TOKENS_FILE && fileText(HARDSTATE_TOKENS_FILE, "HARDSTATE_TOKENS_FILE"));
  if (pairs)
    return pairs
      .trim()
      .split(/\s+/)
      .map((pair) => pair.slice(pair.indexOf("=") + 1));
  return [fileText(join(HARDSTATE_STATE, "token"), "There is no HARDSTATE_TOKENS, and the trial's token")];
};

/** The address of the bridge. */
export const bridgeOf = ({ url }: Values): string => {
  const { HARDSTATE_HOST = "127.0.0.1", HARDSTATE_PORT = "8787" } = process.env;
  const given =
    wordOf(url) ??
    `http://${HARDSTATE_HOST.includes(":") ? `[${HARDSTATE_HOST}]` : HARDSTATE_HOST}:${HARDSTATE_PORT}`;
  if (!/^https?:\/\//.test(given) || !isUrlWithoutLogin(given))
    throw new WrongUse("--url needs the bridge's address, such as http://127.0.0.1:8787, without a login");
  return given.replace(/\/+$/, "");
};

/** The bridge's answers to the tokens, as many as `wanted` needs; the good answers, or 404. */
export const ask = async (
  values: Values,
  path: string,
  init: RequestInit & { headers?: Record<string, string> },
  wanted: "first" | "all",
): Promise<Response[]> => {
  const bridge = bridgeOf(values);
  const answers: Response[] = [];
  for (const token of tokensOf(values)) {
    try {
      const signal = AbortSignal.timeout(30_000);
      answers.push(
        await fetch(`${bridge}${path}`, {
          ...init,
          headers: { ...init.headers, Authorization: `Bearer ${token}` },
          signal,
        }),
      );
    } catch (error) {
      const { cause, message } = error as Error;
      const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
      throw new NotFoundOut(
        `${bridge} does not answer (${why}). Is the bridge running? --url names another.`,
      );
    }
    if (wanted === "first" && answers.at(-1)?.ok) break;
  }
  const useful = answers.filter(({ ok }) => ok);
  if (useful.length > 0 || answers.some(({ status }) => status === 404)) return useful;
  if (answers.every(({ status }) => status === 401))
    throw new NotFoundOut(`${bridge} does not know this token. --token-file names another.`);
  const last = answers.at(-1);
  const { errors = [] } = ((await last?.json().catch(() => ({}))) ?? {}) as { errors?: Fault[] };
  const faults = errors.map(({ field, expected }) => `${field} needs ${expected}`).join("; ");
  throw new NotFoundOut(`${bridge} answered ${last?.status}${faults && `: ${faults}`}.`);
};

/** The part of the usage about how a command asks. */
export const asking = `The bridge is asked at HARDSTATE_HOST and HARDSTATE_PORT, or URL, with the
tokens of HARDSTATE_TOKENS (HARDSTATE_TOKENS_FILE), with that in FILE, or with
the trial's.`;
export const askingOptions = { url: { type: "string" }, "token-file": { type: "string" } } as const;
