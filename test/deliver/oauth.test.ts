import { createServer, type ServerResponse } from "node:http";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { tokenSource } from "../../functions/deliver/oauth.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import type { OAuth } from "../../functions/deliver/relay-url.ts";
import { SessionError } from "../../functions/deliver/session.ts";
import { Secret } from "../../functions/secret.ts";

const clientSecret = "cl1ent~Secret/with+more =&%";
const refreshToken = "1//refresh Token+0/x=";

type Reply = (response: ServerResponse, form: string) => void;
const json =
  (answer: unknown, status = 200): Reply =>
  (response) =>
    response
      .writeHead(status, { "Content-Type": "application/json" })
      .end(typeof answer === "string" ? answer : JSON.stringify(answer));

/** A token endpoint on loopback that answers with each of `replies`, the last one for ever. */
const endpoint = async (...replies: Reply[]) => {
  const forms: string[] = [];
  const server = createServer(async (request, response) => {
    let form = "";
    for await (const chunk of request) form += chunk;
    const reply = replies[Math.min(forms.length, replies.length - 1)];
    forms.push(form);
    reply?.(response, form);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  onTestFinished(() => void close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the endpoint has no port");
  return { url: `http://127.0.0.1:${address.port}/token`, forms, close };
};

const sourceAt = (tokenUrl: string, change: Partial<OAuth> = {}) => {
  const time = { now: 1_800_000_000_000 };
  const oauth = { tokenUrl, clientId: "client-1", clientSecret: new Secret(clientSecret), ...change };
  return { time, source: tokenSource(oauth, () => time.now) };
};
const byRefreshToken = { refreshToken: new Secret(refreshToken) };
const failureOf = async (asked: Promise<string>) => {
  const error = await asked.then(
    (token) => new Error(`a token: ${token}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SessionError)) throw error;
  expect(error.step).toBe("token");
  return { code: error.code, reply: error.message, ...failure(error.step, error.code, error.message) };
};

/** Numbered tokens, so that a test sees which fetch one came from. */
const numbered = (more: object = {}): Reply => {
  let count = 0;
  return (response, form) => json({ access_token: `token-${++count}`, ...more })(response, form);
};

describe("a token is asked for", () => {
  test("with client credentials", async () => {
    const { url, forms } = await endpoint(numbered());
    const { source } = sourceAt(url, { scope: "https://outlook.office365.com/.default" });
    expect(await source.token()).toBe("token-1");
    expect([...new URLSearchParams(forms[0])]).toEqual([
      ["client_id", "client-1"],
      ["client_secret", clientSecret],
      ["scope", "https://outlook.office365.com/.default"],
      ["grant_type", "client_credentials"],
    ]);
  });

  test("with a refresh token", async () => {
    const { url, forms } = await endpoint(numbered());
    await sourceAt(url, byRefreshToken).source.token();
    expect([...new URLSearchParams(forms[0])]).toEqual([
      ["client_id", "client-1"],
      ["client_secret", clientSecret],
      ["grant_type", "refresh_token"],
      ["refresh_token", refreshToken],
    ]);
  });

  test("with a refresh token alone", async () => {
    const { url, forms } = await endpoint(numbered());
    await sourceAt(url, { ...byRefreshToken, clientSecret: undefined }).source.token();
    expect([...new URLSearchParams(forms[0]).keys()]).toEqual(["client_id", "grant_type", "refresh_token"]);
  });

  test("with the newest refresh token that came with a token", async () => {
    const { url, forms } = await endpoint(numbered({ refresh_token: "rotated" }), numbered());
    const { source } = sourceAt(url, byRefreshToken);
    await source.token(await source.token());
    expect(new URLSearchParams(forms[1]).get("refresh_token")).toBe("rotated");
  });

  test.for([["an empty one", ""] as const, ["none of text", 7] as const])(
    "with the old refresh token if %s came with a token",
    async ([, refresh_token]) => {
      const { url, forms } = await endpoint(numbered({ refresh_token }));
      const { source } = sourceAt(url, byRefreshToken);
      await source.token(await source.token());
      expect(new URLSearchParams(forms[1]).get("refresh_token")).toBe(refreshToken);
    },
  );

  test("with client credentials still, though a refresh token came unasked", async () => {
    const { url, forms } = await endpoint(numbered({ refresh_token: "unasked" }));
    const { source } = sourceAt(url);
    await source.token(await source.token());
    expect(new URLSearchParams(forms[1]).get("grant_type")).toBe("client_credentials");
  });
});

describe("a token is kept", () => {
  test.for<[string, object, seconds: number]>([
    ["a minute before the end that was said", { expires_in: 3600 }, 3540],
    ["a minute before an end that was said as text", { expires_in: "3600" }, 3540],
    ["half of a life shorter than two minutes", { expires_in: 30 }, 15],
    ["4 minutes if no end was said", {}, 240],
    ["4 minutes if the end was null", { expires_in: null }, 240],
    ["4 minutes if the end was at once", { expires_in: 0 }, 240],
    ["4 minutes if the end was before", { expires_in: -3600 }, 240],
    ["4 minutes if the end was words", { expires_in: "soon" }, 240],
    ["for ever and a day, if that was said", { expires_in: 1e300 }, 1e9],
  ])("until %s", async ([, more, seconds]) => {
    const { url, forms } = await endpoint(numbered(more));
    const { source, time } = sourceAt(url);
    await source.token();
    time.now += seconds * 1000 - 1;
    expect(await source.token()).toBe("token-1");
    if (seconds === 1e9) return;
    time.now += 1;
    expect(await source.token()).toBe("token-2");
    expect(forms).toHaveLength(2);
  });

  test("for all who ask at once, from one fetch", async () => {
    const { url, forms } = await endpoint(numbered());
    const { source } = sourceAt(url);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => source.token()));
    expect(new Set(tokens)).toEqual(new Set(["token-1"]));
    expect(forms).toHaveLength(1);
  });

  test("no longer when a relay has refused it, but its successor is for all who had it refused", async () => {
    const { url, forms } = await endpoint(numbered());
    const { source } = sourceAt(url);
    const refused = await source.token();
    expect(await Promise.all([source.token(refused), source.token(refused)])).toEqual(["token-2", "token-2"]);
    expect(await source.token(refused)).toBe("token-2");
    expect(forms).toHaveLength(2);
  });

  test("by nobody when it could not be fetched: the next who asks fetches anew", async () => {
    const { url } = await endpoint(json({}, 503), numbered());
    const { source } = sourceAt(url);
    await Promise.all([failureOf(source.token()), failureOf(source.token())]);
    expect(await source.token()).toBe("token-1");
  });
});

describe("an endpoint that", () => {
  const unauthorised = { result: "unauthorised" };
  const deferred = { result: "deferred", code: undefined };
  test.for<[string, Reply, object, words: RegExp]>([
    [
      "does not know the client makes us unauthorised",
      json({ error: "invalid_client", error_description: "AADSTS7000215: wrong secret" }, 401),
      { ...unauthorised, code: 401 },
      /^127\.0\.0\.1:\d+: HTTP 401 invalid_client: AADSTS7000215: wrong secret$/,
    ],
    [
      "refuses the client makes us unauthorised",
      json({ error: "invalid_client" }, 400),
      { ...unauthorised, code: 400 },
      /HTTP 400 invalid_client$/,
    ],
    [
      "refuses the refresh token makes us unauthorised",
      json({ error: "invalid_grant", error_description: 7 }, 400),
      { ...unauthorised, code: 400 },
      /HTTP 400 invalid_grant$/,
    ],
    ["is not there makes us unauthorised", json("<html>", 404), { ...unauthorised, code: 404 }, /HTTP 404$/],
    ["is too busy defers the mail", json({}, 429), { result: "deferred", code: 429 }, /HTTP 429$/],
    ["fails defers the mail", json("<html>", 503), { result: "deferred", code: 503 }, /HTTP 503$/],
    ["answers with no JSON defers the mail", json("<html>token"), deferred, /HTTP 200, without a token$/],
    ["answers null defers the mail", json("null"), deferred, /HTTP 200, without a token$/],
    ["answers without a token defers the mail", json({ id_token: "x" }), deferred, /without a token$/],
    ["answers with a number defers the mail", json({ access_token: 1 }), deferred, /without a token$/],
    ["hangs up defers the mail", (response) => response.destroy(), deferred, /no answer \(/],
    [
      "hangs up within its answer defers the mail",
      (response) => void response.writeHead(200).write('{"access_token":', () => response.destroy()),
      deferred,
      /no answer \(/,
    ],
    ...["", "a b", "a\r\nMAIL FROM:<x@y>", "a\nb", "a\x01b", "tokén", "x".repeat(16_385)].map(
      (token): [string, Reply, object, RegExp] => [
        `gives the token ${JSON.stringify(token.slice(0, 20))} defers the mail`,
        json({ access_token: token }),
        deferred,
        /its token is not one line of ASCII$/,
      ],
    ),
  ])("%s", async ([, reply, outcome, words]) => {
    const { url } = await endpoint(reply);
    const failed = await failureOf(sourceAt(url).source.token());
    expect(failed).toMatchObject(outcome);
    expect(failed.reply).toMatch(words);
  });

  test("nobody listens at defers the mail", async () => {
    const { url, close } = await endpoint(numbered());
    await close();
    expect(await failureOf(sourceAt(url).source.token())).toMatchObject({
      ...deferred,
      reply: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("does not answer in time defers the mail", async () => {
    const impatience = new AbortController();
    const limit = vi.spyOn(AbortSignal, "timeout").mockReturnValue(impatience.signal);
    onTestFinished(() => limit.mockRestore());
    const { url } = await endpoint(() => impatience.abort(new DOMException("too late", "TimeoutError")));
    expect(await failureOf(sourceAt(url).source.token())).toMatchObject({
      ...deferred,
      reply: expect.stringContaining("no answer (TimeoutError)"),
    });
    expect(limit).toHaveBeenCalledWith(15_000);
  });

  test.for([301, 302, 303, 307, 308])("redirects by %s gets our secret nowhere else", async (status) => {
    const elsewhere = await endpoint(numbered());
    const { url } = await endpoint((response) =>
      response.writeHead(status, { Location: elsewhere.url }).end(),
    );
    const { reply, result } = await failureOf(sourceAt(url).source.token());
    expect(elsewhere.forms).toEqual([]);
    expect([result, reply]).toEqual(["deferred", expect.stringContaining("redirect")]);
  });

  test("never ends its answer is cut off", async () => {
    let written = 0;
    const closed = Promise.withResolvers<void>();
    const { url } = await endpoint((response) => {
      response.on("close", () => closed.resolve());
      const more = () => {
        written += 65_536;
        if (!response.destroyed) response.write(" ".repeat(65_536), () => setImmediate(more));
      };
      more();
    });
    expect(await failureOf(sourceAt(url).source.token())).toMatchObject({
      ...deferred,
      reply: expect.stringContaining("an answer of more than 65536 bytes"),
    });
    await closed.promise;
    expect(written).toBeLessThan(20_000_000);
  });
});

describe("secrets", () => {
  const access = "eyJ-access-token";
  const encoded = (secret: string) => new URLSearchParams({ x: secret }).toString().slice(2);
  const formsOf = (secret: string) => [
    secret,
    encoded(secret),
    encodeURIComponent(secret),
    btoa(secret),
    btoa(secret).replace(/=+$/, ""),
    JSON.stringify(secret).slice(1, -1),
  ];
  const echoes: [string, (form: string) => unknown][] = [
    ["the form", (form) => form],
    ["the form's values", (form) => [...new URLSearchParams(form).values()].join(" ")],
    ["the values in base64", (form) => [...new URLSearchParams(form).values()].map(btoa).join(" ")],
    ["the values in a URL", (form) => [...new URLSearchParams(form).values()].map(encodeURIComponent).join()],
    [
      "HTTP basic authentication",
      (form) => btoa(`client-1:${new URLSearchParams(form).get("client_secret")}`),
    ],
  ];
  test.for(echoes)("are not in the words for an endpoint that repeats %s", async ([, echo]) => {
    const { url } = await endpoint(
      numbered({ refresh_token: "rotated refresh/token" }),
      ...[
        (form: string) => ({ error: echo(form) }),
        (form: string) => ({ error: "x", error_description: echo(form), more: echo(form) }),
        (form: string) => String(echo(form)),
      ].map(
        (answer): Reply =>
          (response, form) =>
            json(answer(form), 400)(response, form),
      ),
    );
    const { source } = sourceAt(url, byRefreshToken);
    const token = await source.token();
    for (let n = 0; n < 3; n++) {
      const { reply } = await failureOf(source.token(token));
      for (const secret of [clientSecret, refreshToken, "rotated refresh/token"])
        for (const form of formsOf(secret)) expect(reply).not.toContain(form);
      expect(reply).not.toContain(btoa(`client-1:${clientSecret}`).slice(12, -4));
    }
  });

  test.for(["rotated", "\ud800"])(
    "that were replaced, by %j, are not in the words either",
    async (rotated) => {
      const { url } = await endpoint(
        numbered({ refresh_token: rotated }),
        json({ error: "invalid_grant", error_description: `expired: ${refreshToken}` }, 400),
      );
      const { source } = sourceAt(url, byRefreshToken);
      const { reply } = await failureOf(source.token(await source.token()));
      expect(reply).toMatch(/HTTP 400 invalid_grant: expired: \[redacted\]$/);
    },
  );

  test("in the URL are not in the words of a fetch that fails", async () => {
    const { url } = await endpoint(numbered());
    const failed = await failureOf(sourceAt(url.replace("//", "//app:cana%72y@")).source.token());
    expect(failed).toMatchObject({
      result: "deferred",
      reply: expect.stringMatching(/^127\.0\.0\.1:\d+: no answer \(TypeError\)$/),
    });
  });

  test("that come with an answer which is no good are not in its words", async () => {
    const { url } = await endpoint(
      json({ access_token: 1, refresh_token: access, id_token: access }),
      json({ access_token: access, refresh_token: access }, 500),
      json({ access_token: `${access} ` }),
      json(`${access}\n`),
    );
    const { source } = sourceAt(url);
    for (let n = 0; n < 4; n++) expect((await failureOf(source.token())).reply).not.toContain(access);
  });
});
