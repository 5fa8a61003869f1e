import { printable, withoutSecrets } from "./printable.ts";
import type { OAuth } from "./relay-url.ts";
import { SessionError } from "./session.ts";

/** Access tokens for one relay, shared by all its sessions. */
export type TokenSource = {
  /** A token that is good for a while yet, and is not the one that a relay has just refused. */
  token(refused?: string): Promise<string>;
};

const answerWithin = 15_000;
/** A token is not used in the last minute of its life, nor in the second half of a shorter one. */
const spareSeconds = 60;
/** RFC 6749 §5.1 only recommends to say how long a token lives. */
const usualSeconds = 300;

/** No answer with a token is as long. */
const mostBytes = 65_536;

type Answer = Partial<
  Record<"access_token" | "expires_in" | "refresh_token" | "error" | "error_description", unknown>
>;

/** The text of an answer; undefined if it is longer than any should be. */
const textOf = async (response: Response): Promise<string | undefined> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > mostBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
};

const post = async (url: string, form: URLSearchParams) => {
  const response = await fetch(url, {
    method: "POST",
    body: form,
    headers: { Accept: "application/json" },
    // The secret is for this URL alone; workerd has no "error".
    redirect: "manual",
    signal: AbortSignal.timeout(answerWithin),
  });
  return { ok: response.ok, status: response.status, text: await textOf(response) };
};

/** The content of an answer, if it is JSON; nothing else of it may be shown. */
const answerOf = (text: string): Answer => {
  try {
    return (JSON.parse(text) as Answer | null) ?? {};
  } catch {
    return {};
  }
};

/** Why a fetch failed, by its code or kind: the message may hold the URL, and the URL a secret. */
const causeOf = (error: Error): string => {
  const { code } = (error.cause ?? error) as { code?: unknown };
  return typeof code === "string" ? code : error.name;
};

/**
 * Fetches access tokens (RFC 6749 §4.4 and §6) and keeps each until shortly before its end; of many callers at once
 * one fetches. Rejects with a SessionError of step `token`, with the endpoint's status and words.
 */
export const tokenSource = (oauth: OAuth, clock: () => number): TokenSource => {
  let kept: { token: string; until: number } | undefined;
  let fetching: Promise<string> | undefined;
  // Microsoft may give a new one with each answer; the old one lives on for its own time.
  let refreshToken = oauth.refreshToken?.reveal();

  const wrong = (words: string, code?: number) => {
    const secrets = [oauth.clientSecret?.reveal(), oauth.refreshToken?.reveal(), refreshToken];
    const safe = withoutSecrets(words, secrets);
    return new SessionError("token", printable(`${new URL(oauth.tokenUrl).host}: ${safe}`), code);
  };
  const ask = async (): Promise<string> => {
    const form = new URLSearchParams({ client_id: oauth.clientId });
    if (oauth.clientSecret) form.set("client_secret", oauth.clientSecret.reveal());
    if (oauth.scope) form.set("scope", oauth.scope);
    form.set("grant_type", refreshToken ? "refresh_token" : "client_credentials");
    if (refreshToken) form.set("refresh_token", refreshToken);
    const { ok, status, text } = await post(oauth.tokenUrl, form).catch((error) => {
      throw wrong(`no answer (${causeOf(error)})`);
    });
    if (text === undefined) throw wrong(`an answer of more than ${mostBytes} bytes`);
    if (status >= 300 && status < 400) throw wrong(`HTTP ${status}, a redirect`, status);
    const answer = answerOf(text);
    const { access_token: token, expires_in: seconds = usualSeconds } = answer;
    if (!ok) {
      // RFC 6749 §5.2. The rest may hold anything.
      const said = [answer.error, answer.error_description].filter((words) => typeof words === "string");
      throw wrong(`HTTP ${status} ${said.join(": ")}`, status);
    }
    if (typeof token !== "string") throw wrong(`HTTP ${status}, without a token`);
    // RFC 6750 §2.1; anything else would change what AUTH says.
    if (!/^[\x21-\x7e]{1,16384}$/.test(token)) throw wrong("its token is not one line of ASCII");
    if (refreshToken && typeof answer.refresh_token === "string")
      refreshToken = answer.refresh_token || refreshToken;
    const life = Number(seconds) > 0 ? Number(seconds) : usualSeconds;
    kept = { token, until: clock() + (life - Math.min(spareSeconds, life / 2)) * 1000 };
    return token;
  };
  return {
    token: async (refused) => {
      if (kept && kept.token !== refused && clock() < kept.until) return kept.token;
      fetching ??= ask().finally(() => {
        fetching = undefined;
      });
      return fetching;
    },
  };
};
