import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Event } from "../../functions/report/event.ts";
import { lambdaSettings, type OnLambda } from "../../functions/runtime/lambda.ts";
import { madeOf } from "../../functions/runtime/made-of.ts";
import { parameterStore } from "../../functions/runtime/ssm.ts";

const secret = "smtp://user:the-secret-of-a-relay@relay.example.com:587";
const environment = {
  HARDSTATE_RELAYS_PARAMETER: "/hardstate/relays",
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_QUEUE: "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/hardstate.fifo",
  HARDSTATE_LEDGER: "dynamodb:hardstate",
};

/** A function's settings over a store whose values and whose moods may change, and a clock that is set by hand. */
const started = async (given: Record<string, string | undefined> = environment) => {
  const store = { values: new Map([["/hardstate/relays", secret]]), away: false, reads: 0 };
  const events: Event[] = [];
  let now = 0;
  const parameters = async (names: readonly string[]) => {
    store.reads += 1;
    if (store.away) throw new Error("no answer");
    return new Map([...store.values].filter(([name]) => names.includes(name)));
  };
  const settings = await lambdaSettings(
    given,
    "lambda-worker",
    parameters,
    () => now,
    (event) => events.push(event),
  );
  const current = async () => (await settings.current()).relays.map(({ route }) => route);
  const passes = (seconds: number) => {
    now += seconds * 1000;
  };
  return { settings, store, events, current, passes };
};

describe("the settings of a function", () => {
  it("are read from Parameter Store at its cold start", async () => {
    const { current, store } = await started();
    expect(await current()).toEqual(["smtp://relay.example.com:587"]);
    expect(store.reads).toBe(1);
  });

  it("are read again when a relay refused our login, and not before", async () => {
    const { current, store, settings, passes } = await started();
    store.values.set("/hardstate/relays", "smtp://user:new@other.example.com:587");
    passes(60);
    expect(await current()).toEqual(["smtp://relay.example.com:587"]);
    settings.doubt();
    expect(await current()).toEqual(["smtp://other.example.com:587"]);
    expect(store.reads).toBe(2);
  });

  it("are read at most every five seconds, however often a login is refused", async () => {
    const { current, store, settings, passes } = await started();
    passes(5);
    for (let second = 0; second < 10; second++) {
      settings.doubt();
      await current();
      passes(1);
    }
    expect(store.reads).toBe(3);
  });

  it("are read again after five minutes", async () => {
    const { current, store, passes } = await started();
    store.values.set("/hardstate/relays", "ses://eu-west-1");
    passes(299);
    expect(await current()).toEqual(["smtp://relay.example.com:587"]);
    passes(1);
    expect(await current()).toEqual(["ses://eu-west-1"]);
  });

  it("stay the same object while they say the same, so that nothing is made anew", async () => {
    const { settings, passes, store } = await started();
    const first = await settings.current();
    const make = madeOf((known: OnLambda) => ({ known }));
    const made = make(first);
    passes(300);
    expect(await settings.current()).toBe(first);
    expect(store.reads).toBe(2);
    expect(make(await settings.current())).toBe(made);
  });

  it.each([
    [
      "Parameter Store is away",
      (store: { away: boolean }) => {
        store.away = true;
      },
    ],
    [
      "it holds what is wrong",
      ({ values }: { values: Map<string, string> }) => values.set("/hardstate/relays", "x"),
    ],
    [
      "the parameter is gone",
      ({ values }: { values: Map<string, string> }) => values.delete("/hardstate/relays"),
    ],
  ])("stay as they were while %s, which is reported", async (_, change) => {
    const { current, store, events, passes } = await started();
    change(store as never);
    passes(300);
    expect(await current()).toEqual(["smtp://relay.example.com:587"]);
    expect(events).toMatchObject([{ event: "failed", during: "reading the settings again" }]);
    expect(JSON.stringify(events)).not.toContain("the-secret");
  });

  it("are never read again where none is a parameter", async () => {
    const { HARDSTATE_RELAYS_PARAMETER: _, ...plain } = environment;
    const { current, store, settings, passes } = await started({ ...plain, HARDSTATE_RELAYS: secret });
    passes(1000);
    settings.doubt();
    await current();
    expect(store.reads).toBe(1);
  });

  it("stop the cold start with every fault, a parameter by its name", async () => {
    const start = started({
      ...environment,
      HARDSTATE_FROM: undefined,
      HARDSTATE_OAUTH_PARAMETER: "/not/there",
      HARDSTATE_ALIASES_PARAMETER: "/hardstate/relays",
      HARDSTATE_ALIASES: "root=ops@example.com",
    });
    await expect(start).rejects.toThrow(
      /HARDSTATE_ALIASES needs HARDSTATE_ALIASES or HARDSTATE_ALIASES_PARAMETER, not both; HARDSTATE_OAUTH_PARAMETER needs the name of a parameter that exists.*HARDSTATE_FROM needs a value/,
    );
    await expect(start).rejects.not.toThrow(/the-secret/);
  });
});

describe("Parameter Store", () => {
  let close: (() => void) | undefined;
  afterEach(() => close?.());
  /** A store that answers each request in turn with one of these. */
  const scripted = async (answers: { status?: number; body?: object; hang?: true }[]) => {
    const asked: { headers: Record<string, unknown>; body: { Names: string[]; WithDecryption: boolean } }[] =
      [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      asked.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
      const { status = 200, body = {}, hang } = answers[asked.length - 1] ?? { status: 500 };
      if (!hang)
        response
          .writeHead(status, { "Content-Type": "application/x-amz-json-1.1" })
          .end(JSON.stringify(body));
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    close = () => {
      server.closeAllConnections();
      server.close();
    };
    const read = parameterStore({
      AWS_REGION: "eu-west-1",
      AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
      AWS_SECRET_ACCESS_KEY: "the-key-itself",
      AWS_SESSION_TOKEN: "the-session",
      AWS_ENDPOINT_URL_SSM: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    });
    return { asked, read };
  };
  const holding = (...names: string[]) => ({
    body: { Parameters: names.map((Name) => ({ Name, Value: `of ${Name}` })) },
  });

  it("is asked by a signed request for the decrypted values", async () => {
    const { asked, read } = await scripted([holding("/a")]);
    expect(await read(["/a", "/b"])).toEqual(new Map([["/a", "of /a"]]));
    expect(asked).toMatchObject([
      {
        body: { Names: ["/a", "/b"], WithDecryption: true },
        headers: {
          "x-amz-target": "AmazonSSM.GetParameters",
          "x-amz-security-token": "the-session",
          authorization: expect.stringMatching(
            /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/ssm\/aws4_request/,
          ),
        },
      },
    ]);
    expect(JSON.stringify(asked)).not.toContain("the-key-itself");
  });

  it("is asked for ten names at a time, and not at all for none", async () => {
    const { asked, read } = await scripted([{}, {}]);
    await read([]);
    await read(Array.from({ length: 12 }, (_, index) => `/${index}`));
    expect(asked.map(({ body }) => body.Names.length)).toEqual([10, 2]);
  });

  it("is asked once more when it fails", async () => {
    const { read } = await scripted([{ status: 500 }, holding("/a")]);
    expect(await read(["/a"])).toEqual(new Map([["/a", "of /a"]]));
  });

  it("that refuses is quoted", async () => {
    const refusal = { status: 400, body: { __type: "AccessDeniedException", message: "not authorized" } };
    const { read } = await scripted([refusal, refusal]);
    await expect(read(["/a"])).rejects.toThrow("Parameter Store says AccessDeniedException: not authorized");
  });

  it("that does not answer is not waited for", async () => {
    const { read } = await scripted([{ hang: true }, { hang: true }]);
    await expect(read(["/a"])).rejects.toThrow(/timeout/i);
  }, 10_000);
});
