import type { RenderedMail } from "../../functions/compose/mime.ts";
import { defaultPolicy, type Policy } from "../../functions/decide/policy.ts";
import type { JournalRecord } from "../../functions/ledger/journal.ts";
import type { Event } from "../../functions/report/event.ts";
import { type RehearsalParts, type RelayAnswer, rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { posted } from "./alerts.ts";

/** A mail that reached a relay, and the second of the scenario at which it did. */
export type SentMail = RenderedMail & { at: number; route: string };
/** The act of the relays on each mail; `at` is the second of the scenario. */
type Relay = (mail: RenderedMail, at: number, route: string) => RelayAnswer;

type WorldParts = Omit<Partial<RehearsalParts>, "policy" | "relay" | "report"> & {
  policy?: Partial<Policy>;
  relay?: Relay;
};

/**
 * One monitor, the bridge, its relays and its mailboxes, on a virtual clock. The bridge is the real one without servers
 * (rehearsal.ts). Whatever a test does not say is an ordinary problem for ops@example.com.
 */
export const world = ({
  begin = 1_800_000_000_000,
  policy,
  relay = () => "accepted",
  ...parts
}: WorldParts = {}) => {
  let now = begin;
  let answer = relay;
  let number = 100;
  const [mails, tries]: [SentMail[], SentMail[]] = [[], []];
  const events: Event[] = [];
  const rules: Policy = { ...defaultPolicy, ...policy };
  const bridge = rehearse({
    ...parts,
    policy: rules,
    begin,
    report: (event) => events.push(event),
    relay: (mail, time, route) => {
      const sent = { ...mail, at: (time - begin) / 1000, route };
      const said = answer(mail, sent.at, route);
      tries.push(sent);
      if (said === "accepted") mails.push(sent);
      return said;
    },
  });
  /** Posts an alert now; resolves to the id that it has. */
  const post = async (change: Record<string, unknown> = {}): Promise<string> => {
    number += 1;
    const notification = { id: String(number), number: 1 };
    const input = { time: Math.floor(now / 1000), notification, recipients: [{ email: "ops@example.com" }] };
    const [alert] = await bridge.post("site", posted({ ...input, ...change }));
    return alert?.id ?? "";
  };
  /** The same for one of this monitor's objects, whose problem has its name. */
  const tell = (
    type: string,
    object: { host: string; service?: string },
    state: string,
    change: object = {},
  ) =>
    post({
      type,
      object,
      state,
      output: `${object.service ?? object.host} is ${state}`,
      monitor: { id: "m1", start: 1 },
      problem: { id: object.service ?? object.host },
      ...change,
    });
  /** Lets the clock run to a second of the scenario. */
  const passTo = async (second: number): Promise<void> => {
    now = begin + second * 1000;
    await bridge.passTo(now);
  };
  return {
    bridge,
    /** The policy that the bridge reads at each decision. */
    policy: rules,
    events,
    /** Mails that a relay took, and all that reached one. */
    mails,
    tries,
    post,
    tell,
    passTo,
    pass: (seconds: number) => passTo((now - begin) / 1000 + seconds),
    /** From now on every relay answers so. */
    relay: (next: RelayAnswer): void => {
      answer = () => next;
    },
    subjects: (): string[] => mails.map(({ subject }) => subject),
    mailsTo: (to = "ops@example.com"): SentMail[] => mails.filter((mail) => mail.to === to),
    story: async (id: string) => (await bridge.ledger().story("site", id)) as JournalRecord,
  };
};
