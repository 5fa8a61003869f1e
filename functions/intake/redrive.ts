import * as v from "valibot";
import { read } from "../alert.ts";
import type { App } from "../api/queries.ts";
import { answer, onlyMethod, refusal } from "../api/refusals.ts";
import type { Doors } from "./doors.ts";
import { parseOne } from "./items.ts";

export const redriveOrder = v.strictObject({ id: v.optional(v.string()) });

/** Adds POST /v1/dead-letters/redrive: one dead letter of the token's site, or all, go back to the queue. */
export const addRedrive = (app: App, { queue, report, refusals }: Doors): void => {
  app.post("/v1/dead-letters/redrive", async (c) => {
    const site = c.get("site");
    const expected = 'an object: {"id": "..."} for one dead letter, {} for all';
    const item = parseOne((await c.req.text()) || "{}");
    // Valibot takes an empty list for an empty object, and that would put back all.
    const order = item.faults.length === 0 && !Array.isArray(item.input) ? item.input : undefined;
    const reading = read(redriveOrder, order);
    if (!reading.ok)
      return refusals.refuse("not-readable", "Nothing was put back.", {
        site,
        faults: [{ field: "body", expected }],
      });
    const { id } = reading.value;
    return refusals.orUnavailable("queue", async () => {
      const count = await queue.redrive({ site, id });
      if (id !== undefined && count === 0)
        return refusal("not-found", "No dead letter of this site has this id.");
      report({ event: "redriven", site, id, count });
      return answer({ redriven: count });
    });
  });
  app.all("/v1/dead-letters/redrive", onlyMethod("POST"));
};
