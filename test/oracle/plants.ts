import type { Plant } from "../simulation/plants.ts";

const problem = "functions/decide/problem.ts";
const recovery = "functions/decide/recovery.ts";
const order = "functions/decide/order.ts";
const view = "functions/decide/monitor-view.ts";

/** Faults of the decision. Each must be found by the oracle, or that would find no such fault of ours either. */
export const plants: Record<string, Plant & { modes: string }> = {
  "one-outage-for-ever": {
    breaks: "what another monitor reports days later is the same outage",
    modes: "pair-no-r,pair-lost-recoveries",
    file: problem,
    text: "const togetherMilliseconds = 600_000;",
    instead: "const togetherMilliseconds = 600_000_000_000;",
  },
  "seen-on-for-ever": {
    breaks: "a new problem is silent while another monitor's end is missing, however long ago its own was",
    modes: "pair-lossy,pair-one-ends",
    file: problem,
    text: "const isRecent = age <=",
    instead: "const isRecent = age >= 0 || age <=",
  },
  "host-covers-for-ever": {
    breaks: "a service is silent since a DOWN of its host whose end never came",
    modes: "hosts,core-4.5.6",
    file: problem,
    text: "const isProven = upSince &&",
    instead: "const isProven = false && upSince &&",
  },
  "found-again-after-the-start": {
    breaks: "after a crash a new problem is taken for the one before",
    modes: "crashes",
    file: problem,
    text: "return sinceStart >= 0 && sinceStart <= policy.restartGraceSeconds;",
    instead: "return true;",
  },
  "forgets-that-it-forgets": {
    breaks: "a monitor that lost its memory makes a second mail of each running problem",
    modes: "restarts-forgetful",
    file: problem,
    text: "return sinceStart >= 0 && sinceStart <= policy.restartGraceSeconds;",
    instead: "return false;",
  },
  "id-before-epoch": {
    breaks: "equal ids are one problem, though a crash issues them again",
    modes: "crashes",
    file: view,
    text: "return a.epoch === b.epoch || (sameId && sameStart);",
    instead: "return a.epoch === b.epoch || sameId;",
  },
  "worse-each-time": {
    breaks: "each repeat of the worst state is mailed as worse",
    modes: "escalations-4.5.12",
    file: problem,
    text: "if (severity[alert.state] <= told.worst) return undefined;",
    instead: "if (severity[alert.state] < told.worst) return undefined;",
  },
  "worse-is-silent": {
    breaks: "a problem that became worse is not told",
    modes: "plain",
    file: problem,
    text: "if (severity[alert.state] <= told.worst) return undefined;",
    instead: "if (severity[alert.state] <= 3) return undefined;",
  },
  "tells-what-is-over": {
    breaks: "a problem that comes after its end is mailed",
    modes: "disorder,late",
    file: problem,
    text: "if (queued.receivedAt > over || knows ||",
    instead: "if (knows ||",
  },
  "trusts-a-clock": {
    breaks: "a clock that is a year ahead decides what is over",
    modes: "clock-years,odd-post",
    file: order,
    text: "if (isAhead(a) !== isAhead(b)) return received < 0;",
    instead: "",
  },
  "trusts-a-number": {
    breaks: "a notification id out of all proportion decides what is over",
    modes: "odd-post",
    file: order,
    text: `Math.abs(numbers) <= mostNumbers) {
    const isContradicted =`,
    instead: `Math.abs(numbers) >= 0) {
    const isContradicted = false &&`,
  },
  "end-for-all": {
    breaks: "a recovery is told to contacts whom the monitor told nothing",
    modes: "options,escalations-4.5.12",
    file: recovery,
    text: "if (!escalates && !(isNew && ended.escalated)) return facts(next);",
    instead: "",
  },
  "end-for-none": {
    breaks: "the first level of an escalation is never told the end",
    modes: "escalations-4.5.6",
    file: recovery,
    text: "if (!escalates && !(isNew && ended.escalated)) return facts(next);",
    instead: "if (ended) return facts(next);",
  },
  "end-again": {
    breaks: "each recovery is told, though the end was told before",
    modes: "pair",
    file: recovery,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    text: 'if (told.recovered) return quiet("record", "R21", `${queued.contact} was already told that it is over`);',
    instead: 'if (told.recovered) return send("R20", "");',
  },
  "any-monitor-ends-it": {
    breaks: "an outage is told as over, and told again, while another monitor still reports it",
    modes: "pair",
    file: recovery,
    text: "if (others.length > 0 && now < waitsUntil)",
    instead: "if (others.length > 1000 && now < waitsUntil)",
  },
  "another-conversation": {
    breaks: "the mails of one problem are not one conversation",
    modes: "plain",
    file: "functions/decide/case.ts",
    text: "episode = told && { id: told.thread, since: told.since },",
    instead: 'episode = told && { id: told.thread + "x", since: told.since },',
  },
  "another-text": {
    breaks: "a mail has the text of what the contact was told before",
    modes: "plain",
    file: "functions/compose/body.ts",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    text: 'alert.output ? `\\n${wrapped(alert.output)}\\n` : "",',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    instead: 'alert.output ? `\\n${wrapped(alert.state)}\\n` : "",',
  },
  "one-run-of-numbers": {
    breaks: "a number that is issued again after a restart names the same notification",
    modes: "crashes,restarts-forgetful",
    file: "functions/identity.ts",
    text: "String(monitor.start ?? 0),",
    instead: "",
  },
};
