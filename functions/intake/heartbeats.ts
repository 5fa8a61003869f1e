import * as v from "valibot";
import { read } from "../alert.ts";
import type { App } from "../api/queries.ts";
import { answer, onlyMethod } from "../api/refusals.ts";
import type { Heartbeat } from "../ledger/heartbeat.ts";
import { untilWritten } from "../until-written.ts";
import type { Doors } from "./doors.ts";
import { parseObject } from "./items.ts";

export const heartbeatPost = v.object({
  monitor: v.pipe(
    v.string("the monitor's name"),
    v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1-64 of letters, digits, . _ -"),
  ),
});
/** A token of a site must not fill the ledger with names. */
const mostMonitors = 100;

/** Notes that a monitor lives now; false: the site has too many. */
const beat = ({ ledger, clock }: Doors, site: string, monitor: string): Promise<Heartbeat | false> =>
  untilWritten("a heartbeat", async () => {
    const known = await ledger.heartbeat(site, monitor);
    if (known.revision === 0) {
      const others = (await ledger.heartbeats()).filter((one) => one.site === site);
      if (others.length >= mostMonitors) return false;
    }
    const heartbeat = { ...known, at: clock() };
    return (await ledger.writeHeartbeat(heartbeat)) ? heartbeat : undefined;
  });

/** Adds PUT /v1/heartbeat. */
export const addHeartbeats = (app: App, doors: Doors): void => {
  const { refusals } = doors;
  app.put("/v1/heartbeat", async (c) => {
    const site = c.get("site");
    const item = parseObject(await c.req.text());
    const reading =
      item.faults.length > 0 ? { ok: false as const, ...item } : read(heartbeatPost, item.input);
    if (!reading.ok)
      return refusals.refuse("not-valid", 'Send {"monitor":"NAME"}, or monitor=NAME as a form.', {
        site,
        faults: reading.faults,
      });
    return refusals.orUnavailable("ledger", async () => {
      const heartbeat = await beat(doors, site, reading.value.monitor);
      if (heartbeat) return answer({ site, monitor: heartbeat.monitor, at: heartbeat.at });
      const faults = [{ field: "monitor", expected: "one of those that were heard in the last 30 days" }];
      return refusals.refuse("not-valid", `This site has ${mostMonitors} monitors already.`, {
        site,
        faults,
      });
    });
  });
  app.all("/v1/heartbeat", onlyMethod("PUT"));
};
