import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "vitest";
import type { intake } from "../../functions/intake/app.ts";
import { openapi } from "../../scripts/openapi.ts";

type Response_ = { headers?: Record<string, unknown>; content?: Record<string, { schema: object }> };
type Operation = { responses: Record<string, Response_ & { $ref?: string }>; security?: unknown[] };

/** The document, read as a client reads it. */
export const document = JSON.parse(JSON.stringify(openapi())) as {
  paths: Record<string, Record<string, Operation>>;
  components: { responses: Record<string, Response_>; schemas: Record<string, object> };
};

const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(document, "openapi");
const validate = (schema: object, value: unknown): string[] => {
  const whole = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components'));
  const valid = ajv.validate(whole, value);
  return valid ? [] : (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
};

/** Which path of the document a request's path is; undefined if none. */
export const templateOf = (path: string): string | undefined =>
  Object.keys(document.paths).find((template) =>
    new RegExp(`^${template.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`).test(path),
  );

const resolved = (response: Response_ & { $ref?: string }): Response_ =>
  response.$ref ? (document.components.responses[response.$ref.split("/").at(-1) ?? ""] ?? {}) : response;

/** How the document describes an answer; a method that a path does not take is told of by those that it does. */
const descriptionOf = (method: string, path: string, status: number): Response_ | undefined => {
  const operations = document.paths[templateOf(path) ?? ""];
  if (!operations) return document.components.responses[status === 401 ? "NotAuthorised" : "NotFound"];
  const own = operations[method === "HEAD" ? "get" : method.toLowerCase()];
  const found = (own ?? Object.values(operations)[0])?.responses[status];
  return found && (own || [401, 405].includes(status)) ? resolved(found) : undefined;
};

/** The parts of an answer that the document does not describe: nothing is as it should be. */
export const undescribed = async (method: string, path: string, response: Response): Promise<string[]> => {
  const description = descriptionOf(method, path, response.status);
  if (!description) return [`${response.status} is not described`];
  const missing = Object.keys(description.headers ?? {}).filter((name) => !response.headers.has(name));
  const type = response.headers.get("Content-Type")?.split(";")[0] ?? "none";
  const content = description.content?.[type];
  if (!content) return [`${type} is not described`, ...missing];
  const text = await response.text();
  const faults =
    method === "HEAD" ? [] : validate(content.schema, /json$/.test(type) ? JSON.parse(text) : text);
  return [...missing.map((name) => `no ${name}`), ...faults];
};

/** The app, each answer of which must be as the document says. `seen` hears of each: method, path, status. */
export const described = (
  app: ReturnType<typeof intake>,
  seen: (method: string, template: string, status: number) => void = () => {},
): ReturnType<typeof intake> => {
  const request: typeof app.request = async (input, init, ...rest) => {
    const response = await app.request(input, init, ...rest);
    const method = init?.method ?? "GET";
    const path = new URL(String(input), "http://bridge.example.com").pathname;
    expect(await undescribed(method, path, response.clone()), `${method} ${path}`).toEqual([]);
    const template = templateOf(path);
    if (template) seen(method.toLowerCase(), template, response.status);
    return response;
  };
  return Object.assign(Object.create(app), { request });
};
