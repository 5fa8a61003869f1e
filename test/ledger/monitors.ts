import { posted } from "../alerts.ts";

export const contacts = ["alice", "bob", "carol"] as const;
export type Contact = (typeof contacts)[number];
export const objects = ["web1", "web1/http"] as const;
export type ObjectName = (typeof objects)[number];

/** What happens at two monitors that watch the same objects, and how long nothing does. */
export type MonitorAction =
  | {
      do: "state";
      monitor: "A" | "B";
      object: ObjectName;
      bad: 0 | 1 | 2;
      to: Contact[];
      escalated: boolean;
      volatile?: boolean;
    }
  | { do: "again"; monitor: "A" | "B"; object: ObjectName; to: Contact[] }
  | { do: "tell"; monitor: "A" | "B"; object: ObjectName; type: string; to: Contact[]; soft?: boolean }
  | { do: "restart"; monitor: "A" | "B"; forgetful: boolean }
  | { do: "pass"; seconds: number };

/** What the way from monitor to bridge does to a post; `name` tells it from all others, else its number does. */
export type Way = { delaySeconds: number; twice: boolean; lost: boolean; name?: string };

/** What a monitor said of an object's state to a contact, and the bridge took. */
export type Said = {
  monitor: string;
  object: ObjectName;
  contact: Contact;
  good: boolean;
  start: number;
  number: number;
};

/** What comes to the bridge: a post, with what it says; or something that is not of the monitors. */
export type Coming<Other> =
  | { at: number; input: Record<string, unknown>; facts: Said[] }
  | { at: number; other: Other };

/** How a monitor sees an object; `truth` names the problem as it is, whatever the monitor forgets. */
type View = { bad: 0 | 1 | 2; epoch: number; problem: number; number: number; truth: string };

/**
 * What comes to the bridge, in order of time, if these actions happen from `begin` on, and when that is over. `wayOf`
 * has the way of a post: of the nth that is sent, by this action, of this object, to this contact.
 */
export const comings = <Other extends { do: string }>(
  actions: readonly (MonitorAction | Other)[],
  begin: number,
  wayOf: (sent: number, action: MonitorAction | Other, object: ObjectName, contact: Contact) => Way,
): { coming: Coming<Other>[]; end: number } => {
  const coming: (Coming<Other> & { order: number })[] = [];
  const forgot = new Set<string>();
  const monitors = Object.fromEntries(
    ["A", "B"].map((name, n) => [
      name,
      {
        start: 100_000_000 + n,
        notification: 50 + n * 5000,
        problem: n * 700,
        views: new Map<ObjectName, View>(),
      },
    ]),
  );
  let now = begin;
  let sent = 0;
  const send = (
    by: MonitorAction,
    name: string,
    object: ObjectName,
    type: string,
    to: readonly Contact[],
    more: { escalated?: boolean; volatile?: boolean; soft?: boolean } = {},
  ) => {
    const { escalated = false, volatile, soft = false } = more;
    const monitor = monitors[name];
    const view = monitor?.views.get(object);
    if (!monitor || !view) return;
    monitor.notification += 1;
    const [host, service] = object.split("/");
    const bad = service ? (["OK", "WARNING", "CRITICAL"] as const) : (["UP", "UNREACHABLE", "DOWN"] as const);
    const stateful = (type === "PROBLEM" || type === "RECOVERY") && !soft;
    // Each contact's command is a process of its own, so each has its own way.
    for (const contact of to) {
      const { delaySeconds, twice, lost, name: known = `${sent + 1}` } = wayOf(sent++, by, object, contact);
      if (lost) continue;
      const input = posted({
        id: `post-${name}-${known}`,
        monitor: { id: name, start: monitor.start },
        type,
        object: { host, service: service ?? null },
        state: bad[view.bad],
        ...(soft && { state_type: "SOFT" }),
        problem: {
          id: String(view.bad === 0 ? 0 : view.problem),
          last_id: String(view.problem),
          epoch: view.epoch,
        },
        custom: { truth: view.truth },
        notification: {
          id: String(monitor.notification),
          number: view.number,
          escalated,
          ...(volatile && { volatile }),
        },
        time: Math.floor(now / 1000),
        recipients: [{ email: `${contact}@example.com` }],
      });
      const said = { monitor: name, object, contact, start: monitor.start, number: monitor.notification };
      const facts: Said[] = stateful ? [{ ...said, good: view.bad === 0 }] : [];
      const at = now + delaySeconds * 1000;
      coming.push({ at, order: sent, input, facts });
      if (twice)
        // Nagios runs a command again whose worker died, without its environment.
        coming.push({
          at: at + 3000,
          order: sent,
          input: { ...input, id: `again-${name}-${known}`, degraded: true },
          facts: [],
        });
    }
  };
  let problems = 0;
  const change = (
    by: MonitorAction,
    name: string,
    object: ObjectName,
    bad: 0 | 1 | 2,
    to: readonly Contact[],
    more: { escalated?: boolean; volatile?: boolean },
    truth = `problem-${++problems}`,
  ) => {
    const monitor = monitors[name];
    if (!monitor) return;
    const before = monitor.views.get(object);
    const was = before?.bad ?? 0;
    if (was === bad) return;
    if (was === 0) monitor.problem += 1;
    monitor.views.set(object, {
      bad,
      // Two problems have each its own second in which the object was last well.
      epoch: was === 0 ? Math.max(Math.floor(now / 1000), (before?.epoch ?? 0) + 1) : (before?.epoch ?? 0),
      problem: was === 0 ? monitor.problem : (before?.problem ?? 0),
      truth: was === 0 ? truth : (before?.truth ?? truth),
      number: was === 0 ? 1 : (before?.number ?? 0) + 1,
    });
    send(by, name, object, bad === 0 ? "RECOVERY" : "PROBLEM", to, more);
  };
  const happens = (step: MonitorAction) => {
    switch (step.do) {
      case "state":
        change(step, step.monitor, step.object, step.bad, step.to, step);
        break;
      case "again": {
        const view = monitors[step.monitor]?.views.get(step.object);
        if (!view || view.bad === 0) break;
        view.number += 1;
        send(step, step.monitor, step.object, "PROBLEM", step.to);
        break;
      }
      case "tell":
        send(step, step.monitor, step.object, step.type, step.to, step);
        break;
      case "restart": {
        const monitor = monitors[step.monitor];
        if (!monitor) break;
        // Nobody restarts twice in a second: its numbers would begin again under the same start.
        monitor.start = Math.max(Math.floor(now / 1000), monitor.start + 1);
        // Once: a monitor that has said but little since is not known to have forgotten it again (§5.1, rollback).
        if (!step.forgetful || forgot.has(step.monitor)) break;
        forgot.add(step.monitor);
        Object.assign(monitor, { notification: 0, problem: 0 });
        for (const [object, { bad, truth }] of [...monitor.views]) {
          monitor.views.delete(object);
          change(step, step.monitor, object, bad, contacts, {}, truth);
        }
        break;
      }
      case "pass":
        now += step.seconds * 1000;
    }
  };
  const ofMonitors = (step: MonitorAction | Other): step is MonitorAction =>
    ["state", "again", "tell", "restart", "pass"].includes(step.do);
  for (const step of actions) {
    if (ofMonitors(step)) happens(step);
    else coming.push({ at: now, order: -1, other: step });
  }
  return { coming: coming.sort((a, b) => a.at - b.at || a.order - b.order), end: now };
};
