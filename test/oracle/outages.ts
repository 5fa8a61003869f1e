import { settings } from "./case.ts";
import type { Notice } from "./cores.ts";
import type { History } from "./history.ts";

/**
 * The outages behind the bad times, `truly`: those of one object that overlap are one, whichever monitor saw them. And
 * what may be `taken` for one: what a core calls by one epoch, for a crash brought it back; without epochs, problems
 * with the same id or none, if no end came between; and what a monitor reports within 900 s after it lost its memory,
 * if no end came (R10).
 */
export const outagesOf = ({
  posts,
  reals,
}: History): { truly: Map<number, number>; taken: Map<number, number> } => {
  let outage = new Map(reals.map(({ id }) => [id, id]));
  const join = (a: number, b: number) => {
    const [one, other] = [outage.get(a), outage.get(b)];
    for (const [id, of] of outage) if (of === other) outage.set(id, one ?? id);
  };
  for (const a of reals)
    for (const b of reals)
      if (a.id < b.id && a.object === b.object && a.begin <= b.end && b.begin <= a.end) join(a.id, b.id);
  const truly = outage;
  outage = new Map(truly);
  const last = new Map<string, { notice: Notice; over: boolean }>();
  const highest = new Map<string, number>();
  const byEpoch = new Map<string, number>();
  for (const { notice } of posts) {
    const epoch = `${notice.monitor} ${notice.object} ${notice.macros.ep}`;
    const called = byEpoch.get(epoch);
    if (called !== undefined && notice.macros.ep !== undefined) join(called, notice.real);
    byEpoch.set(epoch, notice.real);
    if (notice.type === "ACKNOWLEDGEMENT") continue;
    const name = `${notice.monitor} ${notice.object}`;
    const before = last.get(name);
    const { pid, ep, nid } = notice.macros;
    const isRolledBack = typeof nid === "number" && nid <= (highest.get(notice.monitor) ?? 0);
    if (typeof nid === "number") highest.set(notice.monitor, Math.max(nid, highest.get(notice.monitor) ?? 0));
    if (notice.type === "RECOVERY") {
      if (before) before.over = true;
      continue;
    }
    if (before && !before.over) {
      const isForgotten =
        ep !== undefined &&
        ep >= notice.ps &&
        ep <= notice.ps + settings.restartGraceSeconds &&
        before.notice.ps < notice.ps &&
        isRolledBack;
      if (ep === undefined ? before.notice.macros.pid === pid : isForgotten)
        join(before.notice.real, notice.real);
    }
    last.set(name, { notice, over: false });
  }
  return { truly, taken: outage };
};
