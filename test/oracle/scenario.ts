import type { Event, PlayedMail, Scenario, ScenarioFile } from "../scenarios/scenarios.ts";
import type { History, Post } from "./history.ts";

/** The head of the file that every scenario of the oracle stands in; A and B are a redundant pair. */
export const head: Omit<ScenarioFile, "scenarios"> = {
  groups: { G1: ["A", "B"] },
  event_defaults: {
    mon: "A",
    obj: "web1/http",
    type: "PROBLEM",
    state: "CRITICAL",
    st: "HARD",
    esc: 0,
    vol: 0,
    env: true,
    to: "alice",
  },
};

/** The plugin's output in a post names the real problem (p) and the notification (n), so that a mail can be judged. */
export const outputOf = ({ notice }: Post): string => `${notice.state} p${notice.real} n${notice.serial}`;
export const readOutput = (output: string | null): { real: number; serial: number } | undefined => {
  const [, real, serial] = / p(\d+) n(\d+)$/.exec(output ?? "") ?? [];
  return real === undefined ? undefined : { real: Number(real), serial: Number(serial) };
};

/** A post as an event of a scenario, without what the head of its file says. */
export const eventOf = (post: Post): Partial<Event> => {
  const { notice, odd, sent, t, to } = post;
  const [only] = to;
  const all = {
    t,
    mon: notice.monitor,
    obj: notice.object,
    type: notice.type,
    state: notice.state,
    to: to.length === 1 ? only : to,
    ...notice.macros,
    ps: notice.ps,
    lsc: notice.lsc,
    esc: notice.escalated ? 1 : 0,
    vol: notice.volatile ? 1 : 0,
    ...odd,
    sent,
    out: outputOf(post),
  };
  const defaults: Record<string, unknown> = head.event_defaults;
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) => value !== undefined && value !== defaults[name]),
  );
};

const afterSeconds = 9_000;

/** A history as a scenario of `npm run scenarios`; it ends when nothing that waits can wait any more. */
export const scenarioOf = (history: History): Scenario => {
  const { mode, seed, posts, relayAway } = history;
  const events: Partial<Event>[] = [
    ...posts.map(eventOf),
    ...relayAway.flatMap(({ from, to }): Partial<Event>[] => [
      { t: from, ctl: "smtp_down" },
      { t: to, ctl: "smtp_up" },
    ]),
  ].sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
  const until = Math.ceil((events.at(-1)?.t ?? 0) + afterSeconds);
  return { id: `${mode}-${seed}`, title: "", events, until, mails: {} };
};

const flow = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .map(([name, one]) => `${name}: ${flow(one)}`)
      .join(", ")}}`;
  return typeof value === "string" && !/^[A-Za-z][\w/.@ -]*$/.test(value) ? `'${value}'` : String(value);
};

/** A scenario in the form of test/scenarios/scenarios.yaml, with the mails that it makes today. */
export const yamlOf = (scenario: Scenario, mails: readonly PlayedMail[]): string =>
  [
    "version: 1",
    `groups: ${flow(head.groups)}`,
    `event_defaults: ${flow(head.event_defaults)}`,
    "scenarios:",
    `- id: ${scenario.id}`,
    `  title: ${JSON.stringify(scenario.title)}`,
    "  events:",
    ...scenario.events.map((event) => `  - ${flow(event)}`),
    `  until: ${scenario.until}`,
    ...mails.map(({ t, to, kind, state, object, row, output }) =>
      `  # mail @${t} to ${to}: ${kind} ${state} ${object} (${row}) ${output ?? ""}`.trimEnd(),
    ),
    "  mails: {}",
  ].join("\n");
