import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Built, buildAll } from "../scripts/build.ts";

const folder = mkdtempSync(join(tmpdir(), "hardstate-build-"));
afterAll(() => rmSync(folder, { recursive: true }));
let built: Built[];
beforeAll(async () => {
  built = await buildAll(folder);
}, 60_000);
const bundle = (name: string): Built => {
  const found = built.find((one) => one.name === name);
  if (!found) throw new Error(`no bundle ${name}`);
  return found;
};
/** The files in a bundle whose path has these words. */
const having = (name: string, words: RegExp) =>
  [...bundle(name).inputs.keys()].filter((path) => words.test(path));

/** Parts of the AWS SDK that only a laptop or a server needs. */
const credentialSearch =
  /credential-provider-(node|ini|sso|process|http|login|web-identity|imds)|nested-clients|token-providers/;

describe("the bundle of Lambda's intake", () => {
  it.each([
    ["mailer", /nodemailer|functions\/deliver\/(smtp|ses|routes)/],
    ["advice about relays", /operator\/advice/],
    ["decisions", /functions\/pipeline|decide\/(verdict|problem|recovery)/],
    ["SQLite", /sqlite/],
    ["search for credentials", credentialSearch],
    ["XML", /xml-builder|fast-xml/],
    ["server of its own", /@hono\/node-server/],
    ["numbers for Prometheus", /prom-client|prometheus|tdigest|opentelemetry/],
    ["test equipment", /fauxqs|dynalite|smtp-server|selfsigned/],
  ])("has no %s", (_, words) => {
    expect(having("lambda-intake", words)).toEqual([]);
  });

  it.each([["intake/app"], ["queue/sqs"], ["ledger/dynamodb"]])("has %s", (file) => {
    expect(having("lambda-intake", new RegExp(`functions/${file}\\.ts$`))).toHaveLength(1);
  });
});

describe("the bundle of Lambda's worker", () => {
  it.each([
    ["HTTP server", /functions\/intake\/app|hono\/dist\/hono/],
    ["numbers for Prometheus", /prom-client|prometheus|tdigest|opentelemetry/],
    ["SQLite", /sqlite/],
    ["search for credentials", credentialSearch],
    ["test equipment", /fauxqs|dynalite|smtp-server|selfsigned/],
    ["doctor", /doctor/],
    ["SMTP of nodemailer's", /nodemailer.*(smtp|dns)/],
  ])("has no %s", (_, words) => {
    expect(having("lambda-worker", words)).toEqual([]);
  });

  it.each([
    ["pipeline/pipeline"],
    ["pipeline/sweep"],
    ["deliver/smtp"],
    ["deliver/ses"],
    ["ledger/dynamodb"],
  ])("has %s", (file) => {
    expect(having("lambda-worker", new RegExp(`functions/${file}\\.ts$`))).toHaveLength(1);
  });
});

describe("the bundle of the Worker", () => {
  it.each([
    ["DynamoDB", /dynamodb/],
    ["SQLite of Node's", /functions\/(ledger|queue)?\/?sqlite/],
    ["HTTP by Node's agents", /node-http-handler/],
    ["search for credentials", credentialSearch],
    ["server of its own", /@hono\/node-server/],
    ["numbers for Prometheus", /prom-client|prometheus|tdigest|opentelemetry/],
    ["test equipment", /fauxqs|dynalite|smtp-server|selfsigned|miniflare/],
    ["doctor", /doctor/],
    ["SMTP of nodemailer's", /nodemailer.*(smtp|dns)/],
    ["XML by a DOM", /xml-builder\/dist-es/],
  ])("has no %s", (_, words) => {
    expect(having("cloudflare", words)).toEqual([]);
  });

  it.each([
    ["intake/app"],
    ["pipeline/pipeline"],
    ["ledger/sql"],
    ["ledger/durable-object"],
    ["deliver/smtp"],
    ["deliver/ses"],
  ])("has %s", (file) => {
    expect(having("cloudflare", new RegExp(`functions/${file}\\.ts$`))).toHaveLength(1);
  });
});

describe("every bundle", () => {
  it("has the size that docs/benchmarks.md says, within a KiB, and the limit", () => {
    const rows = readFileSync("docs/benchmarks.md", "utf8").matchAll(
      /^\| ([\w-]+) +\| ([\d.]+) KiB \| (\d+) KiB/gm,
    );
    const told = [...rows].map(([, name = "", kib, most]) => ({
      name,
      kib: Number(kib),
      mostKib: Number(most),
    }));
    expect(told.map(({ name, mostKib }) => [name, mostKib])).toEqual(
      built.map(({ name, mostKib }) => [name, mostKib]),
    );
    for (const { name, kib } of told) expect(Math.abs(bundle(name).kib - kib)).toBeLessThan(1);
  });

  it("is within its budget, and has a source map", () => {
    for (const { kib, mostKib, path } of built) {
      expect(kib).toBeLessThanOrEqual(mostKib);
      expect(existsSync(`${path}.map`)).toBe(true);
    }
  });
});

const settings = {
  HARDSTATE_TOKENS: "site1=a-token-of-twenty-four-characters",
  HARDSTATE_RELAYS: "smtp://user:secret-of-the-relay@relay.example.com:587",
  HARDSTATE_FROM: "nagios@example.com",
  HARDSTATE_RECIPIENTS: "example.com",
  HARDSTATE_QUEUE: "sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/hardstate.fifo",
  HARDSTATE_LEDGER: "dynamodb:hardstate",
  AWS_REGION: "eu-west-1",
};
/** The output of a process that imports a bundle: its exports, or its error. */
const imported = (name: string, environment: Record<string, string>): Promise<string> =>
  new Promise((resolve) => {
    const url = pathToFileURL(bundle(name).path).href;
    const script = `import(${JSON.stringify(url)}).then((m) => console.log(Object.keys(m).join(" ")), ({ message }) => console.log(message))`;
    execFile(process.execPath, ["-e", script], { env: environment }, (_, out, error) => resolve(out + error));
  });

describe("a cold start", () => {
  it("gives Lambda its handlers", async () => {
    const { HARDSTATE_RELAYS: _, ...ofIntake } = settings;
    const { HARDSTATE_TOKENS: __, ...ofWorker } = settings;
    expect(await imported("lambda-intake", ofIntake)).toBe("handler\n");
    expect(await imported("lambda-worker", ofWorker)).toBe("feedback sweep worker\n");
  });

  it("stops with all faults named, and no value", async () => {
    const { HARDSTATE_FROM: _, ...wrong } = settings;
    const said = await imported("lambda-worker", {
      ...wrong,
      HARDSTATE_RECIPIENTS: "not a domain!",
      HARDSTATE_LEDGER: "sqlite:/var/secret-path",
      HARDSTATE_PORT: "80",
    });
    for (const words of [
      "HARDSTATE_FROM needs a value",
      "HARDSTATE_RECIPIENTS needs",
      "HARDSTATE_LEDGER needs dynamodb:TABLE",
      "HARDSTATE_PORT needs to be left out",
    ])
      expect(said).toContain(words);
    expect(said).not.toContain("secret");
  });
});
