import { readFileSync, writeFileSync } from "node:fs";
import { type JsonSchema, type OverrideSchemaContext, toJsonSchemaDefs } from "@valibot/to-json-schema";
import * as v from "valibot";
import { alertEntries } from "../functions/alert.ts";
import { journalOutcomes, mostListed, usualListed } from "../functions/api/queries.ts";
import { type RefusalName, refusals } from "../functions/api/refusals.ts";
import * as answers from "../functions/api/shapes.ts";
import { mostAlerts, mostBytes } from "../functions/intake/alerts.ts";
import { heartbeatPost } from "../functions/intake/heartbeats.ts";
import { postEntries } from "../functions/intake/post.ts";
import { redriveOrder } from "../functions/intake/redrive.ts";
import { mostReportBytes } from "../functions/intake/returns.ts";

type Json = Record<string, unknown>;

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const overrideRef = ({ referenceId }: { referenceId: string }) => reference(referenceId).$ref;

/** Schemas of requests say what is to be sent: a text may be cut or a name refused for its bytes all the same. */
const requests = {
  Alert: v.object({
    ...alertEntries,
    time: v.fallback(v.optional(alertEntries.time), undefined),
    ...postEntries.entries,
  }),
  Heartbeat: heartbeatPost,
  Redrive: redriveOrder,
};
const responses = {
  Fault: answers.fault,
  Posted: answers.posted,
  Taken: answers.taken,
  Line: answers.line,
  RejectedLine: answers.rejectedLine,
  Story: answers.story,
  RejectedStory: answers.rejectedStory,
  Return: answers.returnAnswer,
  Waiting: answers.waiting,
  Episode: answers.episode,
  Problems: answers.problems,
  Journal: answers.journal,
  DeadLetter: answers.deadLetter,
  Queue: answers.queuePage,
  Redriven: answers.redriven,
  Status: answers.statusPage,
  Heard: answers.heard,
  Alive: answers.alive,
  Ready: answers.ready,
};

/** A field that is dropped if it cannot be read takes any value. */
const overrideSchema = ({ valibotSchema, jsonSchema }: OverrideSchemaContext) =>
  "fallback" in valibotSchema
    ? { anyOf: [jsonSchema, { description: "Any other value is dropped." }] }
    : undefined;
const common = { target: "draft-2020-12", errorMode: "ignore", overrideRef, overrideSchema } as const;
const withoutDialect = ({ $schema: _, ...schema }: JsonSchema) => schema;
const schemasOf = (schemas: Parameters<typeof toJsonSchemaDefs>[0], typeMode: "input" | "ignore") =>
  Object.fromEntries(
    Object.entries(toJsonSchemaDefs(schemas, { ...common, typeMode })).map(([name, schema]) => [
      name,
      withoutDialect(schema),
    ]),
  );

/** A refusal of one kind, a problem document (RFC 9457), and the response that has it. */
const refusalSchema = (name: RefusalName): Json => ({
  type: "object",
  properties: {
    type: { const: `urn:hardstate:problem:${name}` },
    title: { const: refusals[name].title },
    status: { const: refusals[name].status },
    detail: { type: "string" },
    errors: { type: "array", items: reference("Fault"), minItems: 1 },
    more: { type: "integer", minimum: 1 },
    ...(name === "not-valid" && { alerts: { type: "array", items: reference("Posted") } }),
  },
  required: ["type", "title", "status", "detail"],
  additionalProperties: false,
});
const text = (description: string): Json => ({ description, schema: { type: "string" } });
const headersOf: Partial<Record<RefusalName, Json>> = {
  "not-authorised": { "WWW-Authenticate": text("Bearer") },
  "not-allowed": { Allow: text("the method that this path takes") },
  "too-many": { "Retry-After": { description: "seconds", schema: { type: "integer" } } },
  unavailable: { "Retry-After": { description: "seconds", schema: { type: "integer" } } },
};
const pascal = (name: string) => name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
const names = Object.keys(refusals) as RefusalName[];
const problemResponses = Object.fromEntries(
  names.map((name) => {
    const response = {
      description: refusals[name].title,
      ...(headersOf[name] && { headers: headersOf[name] }),
      content: { "application/problem+json": { schema: refusalSchema(name) } },
    };
    return [pascal(name), response];
  }),
);
const refusalsOf = (...which: RefusalName[]): Json =>
  Object.fromEntries(
    which.map((name) => [refusals[name].status, { $ref: `#/components/responses/${pascal(name)}` }]),
  );

const json = (description: string, schema: string | Json): Json => ({
  description,
  content: { "application/json": { schema: typeof schema === "string" ? reference(schema) : schema } },
});

const example = {
  v: 1,
  id: "example-0001",
  source: "nagios",
  monitor: { id: "monitor1" },
  type: "PROBLEM",
  object: { host: "web01", service: "HTTP" },
  state: "CRITICAL",
  output: "Socket timeout",
  time: 1795366380,
  recipients: [{ name: "ops", email: "ops@example.com" }],
};
const form = {
  NOTIFICATIONTYPE: "PROBLEM",
  HOSTNAME: "web01",
  SERVICEDESC: "HTTP",
  SERVICESTATE: "CRITICAL",
  SERVICEOUTPUT: "Socket timeout",
  CONTACTEMAIL: "ops@example.com",
  TIMET: "1795366380",
};

const query = (name: string, description: string, schema: Json): Json => ({
  name,
  in: "query",
  description,
  schema,
});
const paging = [
  query("limit", "how many at most", {
    type: "integer",
    minimum: 1,
    maximum: mostListed,
    default: usualListed,
  }),
  query("before", "the next of the page before", {
    type: "string",
    pattern: "^\\d{1,16}\\.[A-Za-z0-9._-]{1,128}$",
  }),
];

/** Every path of the API with its methods; the console's pages are not of it. */
const paths: Record<string, Record<string, Json>> = {
  "/v1/alerts": {
    post: {
      summary: `Takes up to ${mostAlerts} alerts`,
      description: `At most ${mostBytes} bytes, not compressed. The answer lists each alert for each mailbox. One that is not valid does not stop the others. An optional field that cannot be read is dropped. An alert without a time gets the time of receipt.`,
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: {
              anyOf: [
                reference("Alert"),
                { type: "array", items: reference("Alert"), minItems: 1, maxItems: mostAlerts },
              ],
            },
            examples: { alert: { value: example } },
          },
          "application/x-ndjson": {
            schema: { type: "string", description: "an alert in JSON on each line" },
            examples: { lines: { value: `${JSON.stringify({ ...example, id: "example-0002" })}\n` } },
          },
          "application/x-www-form-urlencoded": {
            schema: {
              type: "object",
              description: "one alert by the names of Nagios's macros, with or without NAGIOS_",
              properties: Object.fromEntries(
                [...Object.keys(form), "HOSTSTATE"].map((name) => [name, { type: "string" }]),
              ),
              required: ["NOTIFICATIONTYPE", "HOSTNAME", "CONTACTEMAIL"],
              additionalProperties: { type: "string" },
            },
            examples: { problem: { value: form } },
          },
        },
      },
      responses: {
        202: json("The queue has durably taken every alert that is listed as queued.", "Taken"),
        ...refusalsOf(
          "not-readable",
          "not-authorised",
          "forbidden",
          "not-allowed",
          "too-large",
          "not-supported",
          "not-valid",
          "too-many",
          "unavailable",
        ),
      },
    },
  },
  "/v1/alerts/{id}": {
    get: {
      summary: "What became of an alert",
      parameters: [{ name: "id", in: "path", required: true, schema: { type: "string", minLength: 1 } }],
      responses: {
        200: json("Its story, that it was rejected, or that it waits in the queue.", {
          anyOf: [reference("Story"), reference("RejectedStory"), reference("Waiting")],
        }),
        ...refusalsOf("not-authorised", "not-found", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/v1/returns": {
    post: {
      summary: "Takes a report of a mail that was not delivered",
      description: `The mail as it came, at most ${mostReportBytes} bytes of it. The token of a site can report mails of that site, a token of the site operator all mails. A report that is not about a mail of ours and its contact changes nothing.`,
      requestBody: {
        required: true,
        content: { "message/rfc822": { schema: { type: "string" } } },
      },
      responses: {
        200: json("The content of the report and whether it was new, or why it is ignored.", "Return"),
        ...refusalsOf(
          "not-readable",
          "not-authorised",
          "not-allowed",
          "too-large",
          "not-supported",
          "too-many",
          "unavailable",
        ),
      },
    },
  },
  "/v1/problems": {
    get: {
      summary: "What is open",
      parameters: paging,
      responses: {
        200: json("A page of open problems.", "Problems"),
        ...refusalsOf("not-readable", "not-authorised", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/v1/journal": {
    get: {
      summary: "Alerts, newest first",
      parameters: [
        query("object", "host, or host/service", { type: "string" }),
        query("contact", "an address", { type: "string" }),
        query("outcome", "how it stands with them", { type: "string", enum: [...journalOutcomes] }),
        ...paging,
      ],
      responses: {
        200: json("A page of alerts; the first has the totals.", "Journal"),
        ...refusalsOf("not-readable", "not-authorised", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/v1/queue": {
    get: {
      summary: "What waits, and the dead letters of the token's site",
      responses: {
        200: json("The queue.", "Queue"),
        ...refusalsOf("not-authorised", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/v1/status": {
    get: {
      summary: "How the bridge is",
      responses: {
        200: {
          description: "The status; with Accept: text/plain as lines of a name and a number.",
          content: {
            "application/json": { schema: reference("Status") },
            "text/plain": { schema: { type: "string" } },
          },
        },
        ...refusalsOf("not-authorised", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/v1/heartbeat": {
    put: {
      summary: "Notes that a monitor lives",
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: reference("Heartbeat"),
            examples: { monitor: { value: { monitor: "monitor1" } } },
          },
          // A form with the same field twice is refused, also if the field is unknown.
          "application/x-www-form-urlencoded": {
            schema: { ...reference("Heartbeat"), additionalProperties: { type: "string" } },
          },
        },
      },
      responses: {
        200: json("It was noted.", "Heard"),
        ...refusalsOf(
          "not-readable",
          "not-authorised",
          "forbidden",
          "not-allowed",
          "too-large",
          "not-valid",
          "too-many",
          "unavailable",
        ),
      },
    },
  },
  "/v1/dead-letters/redrive": {
    post: {
      summary: "Puts dead letters of the token's site back: one by its id, or all",
      requestBody: {
        content: { "application/json": { schema: reference("Redrive") } },
      },
      responses: {
        200: json("How many were put back.", "Redriven"),
        ...refusalsOf(
          "not-readable",
          "not-authorised",
          "not-found",
          "not-allowed",
          "too-large",
          "too-many",
          "unavailable",
        ),
      },
    },
  },
  "/metrics": {
    get: {
      summary: "Numbers for Prometheus, on Node alone",
      responses: {
        200: { description: "Text form 0.0.4.", content: { "text/plain": { schema: { type: "string" } } } },
        ...refusalsOf("not-authorised", "not-found", "not-allowed", "too-many", "unavailable"),
      },
    },
  },
  "/healthz": {
    get: {
      summary: "The process lives",
      security: [],
      responses: { 200: json("It does.", "Alive"), ...refusalsOf("not-allowed") },
    },
  },
  "/readyz": {
    get: {
      summary: "Queue and ledger can be written",
      security: [],
      responses: { 200: json("They can.", "Ready"), ...refusalsOf("not-allowed", "unavailable") },
    },
  },
  "/openapi.json": {
    get: {
      summary: "This document",
      security: [],
      responses: {
        200: json("OpenAPI 3.1.", { type: "object" }),
        ...refusalsOf("not-allowed"),
      },
    },
  },
};

/** The HTTP API as OpenAPI 3.1 tells it, made of the schemas that the code reads and answers by. */
export const openapi = (): Json => {
  const { version, license } = JSON.parse(readFileSync("package.json", "utf8"));
  return {
    openapi: "3.1.0",
    info: {
      title: "Hardstate",
      version,
      license: { name: license, identifier: license },
      description: "Times are Unix milliseconds of the bridge; those of alerts are seconds of the monitor.",
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      responses: problemResponses,
      schemas: { ...schemasOf(requests, "input"), ...schemasOf(responses, "ignore") },
    },
  };
};

/** Where the document is kept; what serves it reads it there. */
export const openapiPath = "functions/api/openapi.json";
export const asFile = (document: Json): string => `${JSON.stringify(document, undefined, 2)}\n`;

if (import.meta.main) writeFileSync(openapiPath, asFile(openapi()));
