import { describe, expect, it } from "vitest";
import type { Posted } from "./tape.ts";
import { judge, type Received } from "./tape-judge.ts";

let result = 0;
const post = (outage: number, state: string, change: Partial<Posted> = {}): Posted => {
  result += 1;
  return {
    type: state === "OK" ? "RECOVERY" : "PROBLEM",
    object: "web01/HTTP",
    state,
    output: `outage ${outage}, result ${result}.`,
    contact: "ops",
    mailboxes: ["ops@example.com"],
    problem: `since ${1000 + outage}`,
    start: 500,
    id: result,
    escalated: false,
    volatile: false,
    exit: 0,
    ...change,
  };
};
const mail = ({ state, object, output, mailboxes }: Posted, change: Partial<Received> = {}): Received => ({
  mailbox: mailboxes[0] ?? "",
  subject: `[${state === "OK" ? "RECOVERY" : "PROBLEM"} ${state}] ${object}`,
  text: `It is ${state}\n\n${output}\n`,
  ...change,
});
const update = (posted: Posted) => mail(posted, { subject: `[UPDATE ${posted.state}] ${posted.object}` });
const other = { contact: "dba", mailboxes: ["dba@example.com"] };

const first = post(1, "WARNING");
const worse = post(1, "CRITICAL");
const better = post(1, "WARNING");
const end = post(1, "OK");
const second = post(2, "CRITICAL");
const tape = [first, worse, better, end, second];
const right = [mail(first), update(worse), mail(end), mail(second)];
const without = (index: number) => right.filter((_, at) => at !== index);

const faultsOf = (posts: Posted[], mails: Received[]) =>
  Object.entries(judge(posts, mails).faults)
    .filter(([, faults]) => faults.length > 0)
    .map(([kind]) => kind);

describe("the judge of a tape", () => {
  it("finds nothing wrong in a mail for each step and one for the end", () => {
    expect(judge(tape, right).faults).toEqual({ swallowed: [], tooMany: [], unasked: [] });
    expect(judge(tape, right).counts.get("ops@example.com")).toMatchObject({
      ...{ posted: 2, told: 2, problem: 2, update: 1, ends: 1, recovery: 1 },
    });
  });

  it.each<[string, string[], Received[], Posted[]?]>([
    ["a problem that was not told", ["swallowed"], without(3)],
    [
      "a problem told with the text of the one before",
      ["swallowed", "tooMany"],
      [...without(3), mail(first)],
    ],
    ["a step that was not told", ["swallowed"], without(1)],
    ["an end that was not told", ["swallowed"], without(2)],
    ["a problem told twice", ["tooMany"], [...right, mail(second)]],
    [
      "a step back that was told",
      ["tooMany"],
      [mail(first), update(worse), update(better), ...right.slice(2)],
    ],
    ["an end told twice", ["tooMany"], [...right, mail(end)]],
    ["an UPDATE as the first news", ["tooMany"], [...without(3), update(second)]],
    ["an end before its problem", ["tooMany"], [mail(end), mail(first), update(worse), mail(second)]],
    [
      "a mail to a mailbox that nothing was posted to",
      ["unasked"],
      [...right, mail({ ...second, ...other })],
    ],
    ["an end that was not posted to it", ["unasked"], right, [first, worse, { ...end, ...other }, second]],
    ["an end of what it was not told", ["swallowed", "unasked"], [mail(end), mail(second)]],
    ["a mail of no outage", ["unasked"], [...right, mail(first, { text: "nothing" })]],
    ["another object in the subject", ["unasked"], [...without(3), mail({ ...second, object: "db01/Disk" })]],
    [
      "a state that was not posted",
      ["swallowed", "tooMany", "unasked"],
      [...without(3), mail({ ...second, state: "UNKNOWN" })],
    ],
  ])("finds %s", (_, kinds, mails, posts = tape) => {
    expect(faultsOf(posts, mails)).toEqual(kinds);
  });

  it("needs a mail for each event of a volatile service", () => {
    const events = [post(3, "CRITICAL", { volatile: true }), post(3, "CRITICAL", { volatile: true })];
    expect(
      faultsOf(
        events,
        events.map((event) => mail(event)),
      ),
    ).toEqual([]);
    expect(
      faultsOf(
        events,
        events.slice(1).map((event) => mail(event)),
      ),
    ).toEqual(["swallowed"]);
  });

  it("judges each address of a contact", () => {
    const both = post(4, "CRITICAL", { mailboxes: ["one@example.com", "two@example.com"] });
    expect(faultsOf([both], [mail(both)])).toEqual(["swallowed"]);
  });

  it("lets a forgotten outage be told once more under its new name, and no more", () => {
    const again = post(1, "CRITICAL", { problem: "since 9000", start: 8999, id: 1 });
    const posts = [first, worse, again];
    const told = [mail(first), update(worse)];
    expect(faultsOf(posts, told)).toEqual([]);
    expect(faultsOf(posts, [...told, mail(again)])).toEqual([]);
    expect(faultsOf(posts, [...told, mail(again), mail(again)])).toEqual(["tooMany"]);
  });

  it("lets what a forgetful core reports be taken for what it forgot, if it is no worse, for 15 minutes", () => {
    const next = (state: string, problem = "since 9000") => post(5, state, { problem, start: 8999, id: 1 });
    const told = [mail(first)];
    expect(faultsOf([first, next("WARNING")], told)).toEqual([]);
    expect(faultsOf([first, next("CRITICAL")], told)).toEqual(["swallowed"]);
    expect(faultsOf([first, next("WARNING", "since 9999")], told)).toEqual(["swallowed"]);
    expect(faultsOf([first, end, next("WARNING")], [...told, mail(end)])).toEqual(["swallowed"]);
    expect(faultsOf([first, { ...next("WARNING"), id: 99_999 }], told)).toEqual(["swallowed"]);
    expect(faultsOf([first, next("WARNING")], [])).toEqual(["swallowed"]);
  });

  it("lets an end under another name be told or not", () => {
    const elsewhere = post(2, "OK", { problem: "since 1001" });
    expect(faultsOf([second, elsewhere], [mail(second)])).toEqual([]);
    expect(faultsOf([second, elsewhere], [mail(second), mail(elsewhere)])).toEqual([]);
  });

  it("lets contacts that an escalation passed by be told of the end or not", () => {
    const escalated = post(2, "CRITICAL", { ...other, escalated: true });
    const over = post(2, "OK", { ...other, escalated: true });
    const mails = [mail(second), mail(escalated), mail(over)];
    expect(faultsOf([second, escalated, over], mails)).toEqual([]);
    const fanout = { ...over, mailboxes: second.mailboxes };
    expect(faultsOf([second, escalated, over], [...mails, mail(fanout)])).toEqual([]);
  });
});
