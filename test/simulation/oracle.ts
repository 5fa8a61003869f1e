import type { JournalRecord } from "../../functions/ledger/journal.ts";
import { judged } from "./judged.ts";
import type { Played } from "./play.ts";

/** A promise, and who breaks it in this history. */
type Check = [promise: string, broken: (played: Played, facts: Facts) => unknown[]];
type Facts = { byId: Map<string, JournalRecord> };

const keyOf = ({ site, id }: { site: string; id: string }) => `${site} ${id}`;

/** A letter that was put back; or whose mail was refused by one route, and taken by another that told us late. */
const excused = ({ putBackAt, ending, attempts }: JournalRecord): boolean =>
  putBackAt !== undefined ||
  (ending?.as === "mailed" && attempts.some(({ outcome }) => outcome.result !== "accepted"));

/** The reply of a relay to a mail that no route will ever take. */
const ownFaults: readonly string[] = ["refuses the contact", "refuses the content"];

const checks: Check[] = [
  ["nothing happens that nothing may", ({ wrong }) => [...new Set(wrong)]],
  ["the queue is empty in the end, and no group is stuck", ({ waiting }) => waiting],
  [
    "every alert that was answered 202 has its ending in the journal",
    ({ posts }, { byId }) => [...posts].filter((id) => !byId.get(keyOf({ site: "site", id }))?.ending),
  ],
  [
    "whatever the bridge made itself has its ending too",
    ({ records }) => records.filter(({ ending }) => !ending),
  ],
  ["nothing is held in the end", ({ held }) => held],
  [
    "nobody is mailed what intake refused, or what nobody posted",
    ({ posts, refused, records }) =>
      records.filter(
        ({ id, site, made }) => refused.includes(id) || (site === "site" && !made && !posts.has(id)),
      ),
  ],
  [
    "the journal's mails are those that the relays took",
    ({ copies }, { byId }) => {
      const taken = new Set(copies.map(({ mail }) => keyOf(mail.alert)));
      const mailed = [...byId.values()].filter(({ ending }) => ending?.as === "mailed");
      const untaken = mailed.filter((record) => !taken.has(keyOf(record)));
      const unmailed = [...taken].filter((key) => {
        const record = byId.get(key);
        const doubted = record?.inDoubt || record?.putBackAt !== undefined;
        return record?.ending?.as !== "mailed" && !doubted;
      });
      return [...untaken, ...unmailed];
    },
  ],
  [
    "each copy of a mail has the same Message-ID, and each mail its own",
    ({ copies }) => {
      const ids = Map.groupBy(copies, ({ mail }) => mail.messageId);
      const alerts = Map.groupBy(copies, ({ mail }) => keyOf(mail.alert));
      const several = (of: Map<string, Played["copies"]>, what: (copy: Played["copies"][0]) => string) =>
        [...of].filter(([, all]) => new Set(all.map(what)).size > 1);
      return [
        ...several(ids, ({ mail }) => keyOf(mail.alert)),
        ...several(alerts, ({ mail }) => mail.messageId),
      ];
    },
  ],
  [
    "what is digested is told by one digest, which has its ending",
    ({ records }, { byId }) => {
      const digests = records.filter(({ members }) => members);
      return records.filter(({ ending, id, site, digest }) => {
        if (ending?.as !== "digested") return false;
        const telling = digests.filter(({ members }) => members?.includes(id));
        const named = byId.get(keyOf({ site, id: digest?.id ?? "" }));
        return telling.length !== 1 || telling[0] !== named || !named?.ending;
      });
    },
  ],
  [
    "a digest's mail names every object that it tells of",
    ({ copies }, { byId }) =>
      copies.filter(({ mail }) =>
        byId.get(keyOf(mail.alert))?.members?.some((id) => {
          const member = byId.get(keyOf({ site: mail.alert.site, id }));
          return member && !mail.text.includes(member.service ?? member.host);
        }),
      ),
  ],
  [
    "what was refused or given up is a dead letter, and nothing else is",
    ({ buried, records }) => {
      const dead = records.filter(({ ending }) => ending?.as === "refused" || ending?.as === "dead");
      const ids = new Set(dead.map(({ id }) => id));
      return [
        ...dead.filter(({ id }) => !buried.includes(id)),
        ...buried.filter(
          (id) => !ids.has(id) && !records.some((record) => record.id === id && excused(record)),
        ),
      ];
    },
  ],
  [
    "an alert is refused only for its recipient or content, and only by all routes",
    ({ history, records, answered }) =>
      records.filter(({ id, ending }) => {
        if (ending?.as !== "refused") return false;
        const answers = [...(answered.get(id)?.values() ?? [])];
        return answers.length < history.routes || answers.some((answer) => !ownFaults.includes(answer));
      }),
  ],
  [
    "the operator is told of each contact whose mail was refused or given up",
    ({ records }) => {
      const dead = records.filter(
        ({ ending, site }) => site === "site" && (ending?.as === "refused" || ending?.as === "dead"),
      );
      const told = records.filter(({ site }) => site === "operator");
      return dead.length > 0 && told.length === 0 ? dead : [];
    },
  ],
];

/** Which promises a history broke, and by what; none if all is well. */
export const brokenIn = (played: Played): { promise: string; by: unknown[] }[] => {
  const byId = new Map(played.records.map((record) => [keyOf(record), record]));
  const violations = judged(played).map(({ kind, mailbox, object, says }) => ({
    promise: `the oracle: ${kind}`,
    by: [`${kind}, for ${mailbox} about ${object}: ${says}`],
  }));
  return [
    ...checks.map(([promise, breakers]) => ({ promise, by: breakers(played, { byId }) })),
    ...violations,
  ].filter(({ by }) => by.length > 0);
};
