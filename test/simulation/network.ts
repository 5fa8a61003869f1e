import type { RenderedMail } from "../../functions/compose/mime.ts";
import type { DeliveryOutcome, Step } from "../../functions/deliver/outcome.ts";
import { failure } from "../../functions/deliver/refusal.ts";
import type { Transport } from "../../functions/deliver/transport.ts";
import type { Ledger } from "../../functions/ledger/ledger.ts";
import type { Process, Stage } from "./stage.ts";

/** The act of a relay on every mail, until it does something else. */
export const answers = [
  "accepted",
  "away",
  "without TLS",
  "refuses our login",
  "refuses our sender",
  "refuses our sender at RCPT",
  "refuses to send as us",
  "refuses without a reason",
  "finds us too fast",
  "has a quota",
  "greylists",
  "full",
  "busy after the dot",
  "refuses the contact",
  "refuses the content",
] as const;
export type Answer = (typeof answers)[number];

/** A fault of one attempt alone; `taken` and `lost` say what became of the mail. */
const mishaps = [
  "dies before",
  "dies when taken",
  "taken, reply lost",
  "lost with its reply",
  "taken late",
  "hangs, taken",
  "hangs, lost",
  ...answers.slice(1),
] as const;
type Mishap = (typeof mishaps)[number];

const failed = (step: Step, reply: string, code?: number): DeliveryOutcome => ({
  ...failure(step, code, reply),
  step,
  reply,
  code,
  durationMilliseconds: 0,
});
const accepted: DeliveryOutcome = { result: "accepted", reply: "250 Ok", code: 250, durationMilliseconds: 0 };
const outcomes: Record<Answer, DeliveryOutcome> = {
  accepted,
  away: failed("connect", "connect ECONNREFUSED"),
  "without TLS": failed("tls", "STARTTLS is not offered"),
  "refuses our login": failed("auth", "535 5.7.8 no", 535),
  "refuses our sender": failed("sender", "553 5.7.1 no", 553),
  "refuses our sender at RCPT": failed(
    "recipient",
    "553 5.7.1 <a@b>: Sender address rejected: not owned",
    553,
  ),
  "refuses to send as us": failed("after-data", "554 5.2.252 SendAsDenied", 554),
  "refuses without a reason": failed("recipient", "550 no", 550),
  "finds us too fast": failed("after-data", "432 4.3.2 thread limit exceeded", 432),
  "has a quota": failed("data", "550 5.4.5 Daily user sending limit exceeded", 550),
  greylists: failed("recipient", "450 4.2.0 later", 450),
  full: failed("data", "452 4.3.1 full", 452),
  "busy after the dot": failed("after-data", "451 4.3.0 later", 451),
  "refuses the contact": failed("recipient", "550 5.1.1 unknown", 550),
  "refuses the content": failed("after-data", "554 5.7.1 spam", 554),
};
const lost = failed("after-data", "no reply to the final dot");

/** Before our login is taken nothing is known of the mail. */
const beforeLogin: readonly string[] = ["away", "without TLS", "refuses our login"];

/** A mail that a relay has taken. */
export type Copy = {
  mail: RenderedMail;
  at: number;
  route: string;
  by: Process;
  /** Nobody of ours heard that it was taken. */
  unheard: boolean;
};

/** The relays of a history: what they took, and what was wrong with what they were given. */
export const network = (on: Stage, base: Ledger) => {
  const doing = new Map<string, Answer>();
  const copies: Copy[] = [];
  const wrong: string[] = [];
  /** The last answer of each route to a mail of each alert. */
  const answered = new Map<string, Map<string, string>>();
  /** Attempts, by how they ended. */
  const counts = new Map<string, number>();

  /** Whether something kept the process from noting that this copy was taken. */
  const hindered = ({ mail, at, by }: Copy) =>
    !by.alive ||
    [...on.faults].some(
      ([call, fault]) =>
        fault.at >= at && (call.includes(mail.alert.id) || (fault.kind === "slow" && fault.by === by)),
    );

  /** The last attempt of each alert whose reply was lost: where, and when that was known. */
  const lostBy = new Map<string, { route: string; at: number }>();

  /** The rule when a mail is begun: nobody sends a settled alert, and no second copy is made without need. */
  const check = async ({ alert: { site, id }, messageId }: RenderedMail, route: string) => {
    const last = lostBy.get(id);
    if (last && last.route !== route && on.now() - last.at < 5_000)
      wrong.push(`${id} goes by ${route} at once, though ${last.route} may have it`);
    const record = await base.story(site, id);
    if (!record?.claim) wrong.push(`${id} is sent without a claim`);
    const before = copies.filter(({ mail }) => mail.alert.id === id && mail.alert.site === site);
    // A worker that was out of time may note its result after the next one began.
    if (record?.ending && before.length === 0)
      wrong.push(`${id} is sent, and has ended: ${record.ending.as}`);
    for (const copy of before) {
      if (copy.mail.messageId !== messageId) wrong.push(`the copies of ${id} have different Message-IDs`);
      if (!copy.unheard && !hindered(copy))
        wrong.push(`${id} is sent again, and ${copy.by.name} knows that it was taken`);
    }
  };
  const transportOf = (process: Process, route: string): Transport => ({
    route,
    send: (mail: RenderedMail, signal, loggedIn) =>
      new Promise((resolve) => {
        const name = `mail ${mail.alert.id} by ${route}`;
        const { call, draw, there, back, fault } = on.fateOf<Mishap>(name, mishaps);
        const end = (outcome: DeliveryOutcome, wait = back) => {
          if (outcome === lost) lostBy.set(mail.alert.id, { route, at: on.now() + wait });
          on.at(on.now() + wait, () => {
            if (process.alive) resolve(outcome);
          });
        };
        const take = (unheard: boolean) => {
          const copy = { mail, at: on.now(), route, by: process, unheard };
          copies.push(copy);
          on.say(route, `takes ${mail.alert.id} for ${mail.to}: ${mail.subject}`);
          return copy;
        };
        const arrive = async () => {
          await check(mail, route);
          const does: Mishap | "accepted" = fault ?? doing.get(route) ?? "accepted";
          counts.set(does, (counts.get(does) ?? 0) + 1);
          const last = answered.get(mail.alert.id) ?? new Map<string, string>();
          answered.set(mail.alert.id, last.set(route, does));
          if (does !== "accepted") {
            if (fault) on.faults.set(call, { kind: fault, at: on.now(), by: process });
            on.say(process.name, `${does.toUpperCase()}: ${call}`);
          }
          if (does === "dies before") return on.die(process, call);
          if (!beforeLogin.includes(does)) loggedIn?.();
          if (does === "accepted") {
            take(false);
            return end(accepted);
          }
          if (does === "dies when taken") {
            take(true);
            return on.die(process, call);
          }
          if (does === "taken, reply lost" || does === "lost with its reply") {
            if (does === "taken, reply lost") take(true);
            return end(lost);
          }
          if (does === "hangs, taken" || does === "hangs, lost" || does === "taken late") {
            const seconds = draw.between(1, 400);
            let over = false;
            const hangUp = () => {
              if (over) return;
              over = true;
              // The relay may be about to take it, and not know yet that nobody listens.
              if (does === "hangs, taken" || (does === "taken late" && draw.chance(0.5))) take(true);
              end(lost, 1);
            };
            signal.addEventListener("abort", hangUp);
            if (signal.aborted) hangUp();
            if (does === "taken late")
              on.at(on.now() + seconds * 1000, () => {
                if (over) return;
                over = true;
                take(!process.alive);
                end(accepted);
              });
            return;
          }
          return end(outcomes[does]);
        };
        on.at(on.now() + there, arrive);
      }),
  });
  return {
    transportOf,
    copies,
    answered,
    wrong,
    counts,
    /** The act of a relay from now on. */
    doing: (route: string, answer: Answer) => {
      on.say(route, `from now on: ${answer}`);
      doing.set(route, answer);
    },
  };
};
