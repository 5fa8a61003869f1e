import { setImmediate } from "node:timers/promises";
import type { Context } from "hono";
import { type Fault, objectName } from "../alert.ts";
import { formOf } from "../api/body.ts";
import { fewFaults, fewIds, fewRejections, type RejectedItem } from "../api/bounded.ts";
import type { App } from "../api/queries.ts";
import { answer, onlyMethod, type RefusalName } from "../api/refusals.ts";
import type { Posted } from "../api/shapes.ts";
import { operatorSite } from "../identity.ts";
import type { Rejected } from "../ledger/rejection.ts";
import { type QueuedAlert, toMessage } from "../queue/message.ts";
import type { Doors } from "./doors.ts";
import { formPost, forms, type Item, idOf, itemsOf } from "./items.ts";
import { inMacros } from "./monitors.ts";
import { type Circumstances, readPost } from "./post.ts";
import { monitorOf, readableParts } from "./turned-away.ts";

export const mostBytes = 256 * 1024;
export const mostAlerts = 100;
/** A post for more mailboxes is processed in parts of so many, with other requests in between. */
const mailboxesAtOnce = 200;

/** A post as it was read: the alerts to queue, and what is said about each item. */
type ReadItems = {
  queued: QueuedAlert[];
  /** Rejected items and mailboxes, for the ledger and for the log. */
  turned: Rejected[];
  refused: RejectedItem[];
  answers: Posted[];
};

/** Adds one item to what was read. `inForm` says that faults are named as macros. */
const readItem = (
  { queued, turned, refused, answers }: ReadItems,
  item: Item,
  index: number,
  circumstances: Circumstances,
  { items, monitor, inForm }: { items: number; monitor?: string; inForm: boolean },
): void => {
  const reading =
    item.faults.length > 0
      ? { ok: false as const, faults: item.faults, rejected: [] }
      : readPost(item.input, circumstances);
  const named = (faults: Fault[]) => (inForm ? faults.map(inMacros) : faults);
  const of = ({ id, contact, alert }: QueuedAlert) => ({
    item: index,
    id,
    object: objectName(alert),
    contact,
  });
  const rejected = reading.rejected.map(({ queued: one, faults }): RejectedItem => {
    const [{ id, object, contact }, errors] = [of(one), named(faults)];
    turned.push({ id, object, contact, monitor: one.alert.monitor.id, faults: errors });
    return { ...of(one), status: "rejected", errors };
  });
  if (!reading.ok && rejected.length === 0) {
    const [id, errors] = [idOf(item), named(reading.faults)];
    for (const parts of readableParts(item.input)) turned.push({ monitor, ...parts, id, faults: errors });
    rejected.push({ item: index, id, status: "rejected", errors });
  }
  refused.push(...rejected);
  const accepted = reading.ok ? reading.value : [];
  queued.push(...accepted);
  answers.push(
    ...accepted.map((one): Posted => ({ ...of(one), status: "queued" })),
    ...(rejected.length > 0 ? fewRejections(rejected, items) : []),
  );
};

/** The faults of all items. In a batch, the number of the item stands before each field. */
const faultsOf = (refused: readonly RejectedItem[], items: number): Fault[] =>
  refused.flatMap(({ item, errors }) =>
    errors.map((fault) => ({ ...fault, field: items > 1 ? `${item}.${fault.field}` : fault.field })),
  );

/** Reads a whole post. A long one lets other requests in from time to time. */
const readItems = async (
  items: readonly Item[],
  circumstances: Circumstances,
  origin: { monitor?: string; inForm: boolean },
): Promise<ReadItems> => {
  const read: ReadItems = { queued: [], turned: [], refused: [], answers: [] };
  let nextPause = mailboxesAtOnce;
  for (const [index, item] of items.entries()) {
    if (read.answers.length > nextPause) {
      nextPause += mailboxesAtOnce;
      await setImmediate();
    }
    readItem(read, item, index, circumstances, { ...origin, items: items.length });
  }
  return read;
};

/** Puts alerts on the queue, and reports each. Resolves to a refusal if the queue does not have all of them. */
const enqueue = async (
  { queue, clock, report, rate, refusals, limiter }: Doors,
  site: string,
  queued: readonly QueuedAlert[],
): Promise<Response | undefined> => {
  for (let start = 0; start < queued.length; start += mailboxesAtOnce) {
    const part = queued.slice(start, start + mailboxesAtOnce);
    let taken: (boolean | "known")[];
    try {
      if (start > 0) await setImmediate();
      taken = await queue.send(part.map(toMessage));
      if (!taken.every(Boolean)) throw new Error("the queue took only some; the same ids may be sent again");
    } catch (error) {
      const ids = queued.slice(start).map(({ id }) => id);
      return refusals.unavailable("queue", error, ids);
    }
    if (rate) limiter.charge(site, rate, part.length, clock());
    for (const [index, { id, contact, alert }] of part.entries()) {
      const concerned = { id, object: objectName(alert), contact };
      report(
        taken[index] === "known"
          ? { event: "repeated", ...concerned, reason: "the queue has this alert already" }
          : { event: "accepted", site, ...concerned, type: alert.type, state: alert.state },
      );
    }
  }
  return undefined;
};

/** Rejects all of a post: in the answer, in the log, against the rate, and in the ledger. */
const rejecting =
  ({ clock, rate, refusals, limiter, away }: Doors, c: Context, site: string, probe: boolean) =>
  async (
    name: RefusalName,
    detail: string,
    faults: Fault[],
    rejected: readonly Rejected[] = [{ faults, monitor: monitorOf(c) }],
    more = {},
    ids?: string[],
  ): Promise<Response> => {
    const particulars = { site, faults, ids, rejected: rejected.length, probe, more };
    const response = refusals.refuse(name, detail, particulars);
    if (rate) limiter.charge(site, rate, Math.max(rejected.length - 1, 0), clock());
    if (!probe) await away.rejected(site, rejected);
    return response;
  };

/** When the request was made, by RFC 9110 §6.6.1: that tells a late post from a wrong clock. */
const sentAt = (c: Context): number =>
  // biome-ignore lint/style/noRestrictedGlobals: it reads a text, and no clock.
  Date.parse(c.req.header("Date") ?? "");

const post = async (parts: Doors, severalSites: boolean, c: Context, site: string): Promise<Response> => {
  const { clock, report, rate, limiter, away } = parts;
  const form = formOf(c);
  const text = await c.req.text();
  // A post of notify --test: its refusal loses no alert.
  const probe = c.req.header("X-Hardstate-Probe") !== undefined || text.trim() === "";
  const rejectAll = rejecting(parts, c, site, probe);
  if (form === undefined || !forms.includes(form)) {
    const expected = `${forms.join(", ")}, not compressed`;
    return rejectAll("not-supported", `Send ${expected}.`, [{ field: "Content-Type", expected }]);
  }
  const items = itemsOf(form, text);
  if (items === undefined)
    return rejectAll("not-readable", "The body is not JSON.", [{ field: "body", expected: "JSON" }]);
  if (items.length === 0 || items.length > mostAlerts) {
    const expected = `1-${mostAlerts} alerts`;
    // An empty list loses no alert.
    const rejected = items.length === 0 ? [] : undefined;
    if (rate && !rejected) limiter.charge(site, rate, items.length - 1, clock());
    return rejectAll("not-valid", `Send ${expected} at a time.`, [{ field: "body", expected }], rejected);
  }

  const now = clock();
  const sent = sentAt(c);
  const { aliases, allowed } = parts;
  const behind = Number.isFinite(sent) && { clockBehind: now - sent };
  const circumstances = { site, now, ...behind, aliases, allowed, severalSites };
  const origin = { monitor: monitorOf(c), inForm: form === formPost };
  const { queued, turned, refused, answers } = await readItems(items, circumstances, origin);
  const faults = faultsOf(refused, items.length);
  const ids = refused.flatMap(({ id }) => id ?? []);
  if (queued.length === 0) {
    const detail = "No alert was accepted: see errors.";
    return rejectAll("not-valid", detail, faults, turned, { alerts: answers }, ids);
  }
  if (rate) limiter.charge(site, rate, turned.length - 1, clock());
  const unavailable = await enqueue(parts, site, queued);
  if (unavailable) return unavailable;
  if (faults.length > 0 && !probe) {
    const reason = "some alerts of a batch, or some mailboxes";
    const few = { ...fewFaults(faults), ...fewIds(ids), rejected: turned.length };
    report({ event: "request-refused", status: 202, reason, site, ...few });
    await away.rejected(site, turned);
  }
  return answer({ alerts: answers }, 202);
};

/** Adds POST /v1/alerts. */
export const addAlerts = (app: App, doors: Doors): void => {
  const sites = new Set(doors.tokens.map(({ site }) => site));
  sites.delete(operatorSite);
  app.post("/v1/alerts", (c) => post(doors, sites.size > 1, c, c.get("site")));
  app.all("/v1/alerts", onlyMethod("POST", "POST alerts here."));
};
