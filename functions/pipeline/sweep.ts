import { type Entry, forgotten, type Held, openProblem } from "../decide/entry.ts";
import { afterTelling } from "../deliver/breaker.ts";
import { operatorSite } from "../identity.ts";
import { afterListening, toTell } from "../ledger/heartbeat.ts";
import { type Due, keepMilliseconds, type Ledger } from "../ledger/ledger.ts";
import { concerned, noticeAlerts, tell } from "../operator/notices.ts";
import { toDueMessage } from "../queue/message.ts";
import type { Queue } from "../queue/queue.ts";
import type { Report } from "../report/event.ts";
import { minuteOfDay } from "../time.ts";

const mostEntries = 100;

/** The entry after the queue was given those of its alerts whose time has come, or as many as there were at hand. */
const handedOver = (entry: Entry, { alerts, partly }: Due, now: number): Entry => {
  const given = new Set(alerts.map(({ queued }) => queued.id));
  const held = Object.entries(entry.held).map(([id, one]): [string, Held] => [
    id,
    one.due <= now && (!partly || given.has(id)) ? { ...one, queued: true } : one,
  ]);
  return { ...entry, held: Object.fromEntries(held) };
};

type SweepParts = {
  ledger: Ledger;
  queue: Pick<Queue, "send">;
  operators: readonly string[];
  /** After how long a silence operators are told of a monitor; undefined: never. */
  heartbeatAfterSeconds?: number;
  timeZone?: string;
  /** At which minute of the day in this zone they are told what is open; undefined: never. */
  stillOpenAtMinute?: number;
  /** Since when the bridge could be reached, if its runtime knows that. */
  awakeSince?: number;
  report: Report;
};

/** Tells operators of routes that are down or work again. As below, the queue has it before the ledger says so. */
const tellOfRoutes = async (parts: SweepParts, now: number) => {
  const { ledger, report } = parts;
  for (const state of await ledger.routes()) {
    const told = afterTelling(state, now);
    if (!told) continue;
    await tell(parts, { about: "route", state }, now);
    if (!(await ledger.writeRoute(told))) continue;
    const { route, down } = state;
    report({ event: "route", route, down: down !== undefined, reason: down?.reason, probeAt: down?.probeAt });
  }
};

/**
 * Tells operators of monitors that are silent, or heard again. A silence is noted before operators hear of it: so its
 * end is told as well, should it come in between. A conflict leaves a heartbeat to the next sweep.
 */
const tellOfHeartbeats = async (parts: SweepParts, now: number) => {
  const { ledger, report, heartbeatAfterSeconds, awakeSince = 0 } = parts;
  if (heartbeatAfterSeconds === undefined) return;
  for (const known of await ledger.heartbeats()) {
    let heartbeat = afterListening(known, heartbeatAfterSeconds, awakeSince, now);
    if (heartbeat !== known) {
      if (!(await ledger.writeHeartbeat(heartbeat))) continue;
      heartbeat = { ...heartbeat, revision: heartbeat.revision + 1 };
    }
    const news = toTell(heartbeat);
    if (!news) continue;
    const { site, monitor } = heartbeat;
    const { silent, since, told } = news;
    await tell(parts, { about: "heartbeat", site, monitor, since, silent }, now);
    if (await ledger.writeHeartbeat(told)) report({ event: "heartbeat", site, monitor, silent, since });
  }
};

/**
 * Tells operators once a day of each contact or monitor whose posts were rejected. The queue has it before the ledger
 * says so, under an id of that day. A conflict leaves a rejection to the next sweep.
 */
const tellOfRejections = async (parts: SweepParts, now: number) => {
  const untold = await parts.ledger.untoldRejections(mostEntries);
  const groups = Map.groupBy(
    untold,
    (one) => `${one.site} ${concerned(one)} ${one.first - (one.first % dayMilliseconds)}`,
  );
  for (const [first, ...others] of groups.values()) {
    if (!first) continue;
    await tell(parts, { about: "rejected", site: first.site, rejections: [first, ...others] }, now);
    for (const one of [first, ...others]) await parts.ledger.writeRejection({ ...one, told: true });
  }
};

const dayMilliseconds = 86_400_000;
const mostStillOpen = 500;

/**
 * Tells each operator once a day what is open, if anything was when its time came: what opens later is no news of
 * that day. The journal has it once they were told.
 */
const tellOfOpen = async (parts: SweepParts, now: number) => {
  const { ledger, operators, stillOpenAtMinute, timeZone = "UTC" } = parts;
  if (stillOpenAtMinute === undefined) return;
  const { dayNumber, at } = minuteOfDay(now, stillOpenAtMinute, timeZone);
  if (now < at) return;
  const ids = noticeAlerts({ about: "still-open", problems: [], more: false, dayNumber }, operators, now);
  const told = await Promise.all(ids.map(({ site, id }) => ledger.story(site, id)));
  const untold = operators.filter((_, index) => told[index] === undefined);
  if (untold.length === 0) return;
  const problems = await ledger.open(mostStillOpen + 1);
  // The bridge's own problems have mails of their own.
  const shown = problems.filter(({ site }) => site !== operatorSite).slice(0, mostStillOpen);
  if (!shown.some(({ entry }) => (openProblem(entry)?.since ?? now) <= at)) return;
  const more = problems.length > mostStillOpen;
  await tell({ ...parts, operators: untold }, { about: "still-open", problems: shown, more, dayNumber }, now);
};

/**
 * Puts every held alert whose time has come on the queue, where it is decided like any other; closes episodes of
 * which nothing was heard for 30 days (R44), and forgets what ended longer ago. The queue has an alert before the
 * ledger says so: a death in between puts it there twice, and the second one is known then. A conflict
 * leaves an entry to another time: a worker may have its alert already. Resolves to the number of alerts put there.
 */
export const sweep = async (parts: SweepParts, now: number): Promise<number> => {
  const { ledger, queue, report } = parts;
  await tellOfRoutes(parts, now);
  await tellOfHeartbeats(parts, now);
  await tellOfRejections(parts, now);
  await tellOfOpen(parts, now);
  let count = 0;
  for (let more = true; more; ) {
    const due = await ledger.due(now, mostEntries);
    const alerts = due.flatMap(({ alerts }) => alerts);
    if (alerts.length > 0) {
      const taken = await queue.send(alerts.map(({ queued, due }) => toDueMessage(queued, due)));
      if (!taken.every(Boolean)) throw new Error("the queue took only some of the alerts that are due");
      count += alerts.length;
    }
    let written = 0;
    for (const one of due) {
      const { key, object, entry } = one;
      const abandoned = forgotten(entry, now);
      const after = handedOver(abandoned ?? entry, one, now);
      if (!(await ledger.write({ key, entry: after, records: [] }))) continue;
      written += 1;
      if (abandoned) report({ event: "forgotten", object, since: openProblem(entry)?.since ?? now });
    }
    more = written > 0 && (due.length === mostEntries || due.at(-1)?.partly === true);
  }
  await ledger.prune(now - keepMilliseconds, 1000);
  return count;
};
