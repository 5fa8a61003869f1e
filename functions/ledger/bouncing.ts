import { contactKey } from "../address.ts";
import { failedForRecipient } from "../deliver/outcome.ts";
import type { Ledger } from "./ledger.ts";
import { dayOf } from "./rejection.ts";

/** A contact who gets no mail, and on how many days (UTC) a mail failed. */
export type Bouncing = {
  contact: string;
  days: number;
  /** When a mail failed last, in Unix milliseconds, and with which reply. */
  last: number;
  reply: string;
  /** Relays refuse or defer mail to this contact. If absent, they accepted it and it came back. */
  refused?: true;
};

const leastDays = 3;
/** A mail that is younger may still bounce. */
const undecidedMilliseconds = 3_600_000;
const mostMails = 500;
const mostContacts = 20;
const leastTries = 3;
/** A relay that defers the first mail to an address (greylisting) accepts it within this time. */
const leastTryingMilliseconds = 900_000;
const mostAlerts = 100;

/** The second kind of `bouncing`. Reads the newest 100 refused and the newest 100 pending alerts of the site. */
const refusedContacts = async (ledger: Ledger, site: string): Promise<Bouncing[]> => {
  const outcomes = ["refused", "pending"] as const;
  const pages = await Promise.all(
    outcomes.map((outcome) => ledger.journal({ site, outcome, limit: mostAlerts })),
  );
  const contacts = Map.groupBy(
    pages.flatMap(({ items }) => items),
    ({ contact }) => contactKey(contact),
  );
  const found: Bouncing[] = [];
  for (const records of contacts.values()) {
    const [newest] = records;
    const refusals = records
      .flatMap(({ attempts }) => attempts)
      .filter(({ outcome }) => failedForRecipient(outcome))
      .toSorted((one, other) => other.at - one.at);
    if (!newest || refusals.length < leastTries || found.length === mostContacts) continue;
    const { contact } = newest;
    const [mailed] = (await ledger.journal({ site, contact, outcome: "mailed", limit: 1 })).items;
    const row = refusals.filter(({ at }) => at > (mailed?.ending?.at ?? 0));
    const [last, first] = [row[0], row.at(-1)];
    if (!last || !first || row.length < leastTries || last.at - first.at < leastTryingMilliseconds) continue;
    const days = new Set(row.map(({ at }) => dayOf(at))).size;
    found.push({ contact, days, last: last.at, reply: last.outcome.reply, refused: true });
  }
  return found;
};

/** The contacts whose last mails all bounced for good. Reads the site's reports, then the mails of these contacts alone. */
const returnedContacts = async (ledger: Ledger, site: string, now: number): Promise<Bouncing[]> => {
  const bounces = (await ledger.returned(site)).filter(({ permanent }) => permanent);
  const contacts = Map.groupBy(bounces, ({ contact }) => contactKey(contact));
  const daysOf = (some: typeof bounces) => new Set(some.map(({ at }) => dayOf(at))).size;
  const found: Bouncing[] = [];
  for (const own of contacts.values()) {
    const [last] = own;
    if (!last || daysOf(own) < leastDays || found.length === mostContacts) continue;
    const query = { site, contact: last.contact, outcome: "mailed", limit: mostMails } as const;
    const mails = (await ledger.journal(query)).items;
    const bounced = new Set(own.map(({ id }) => id));
    const stayed = mails.findIndex(
      ({ id, ending }) => !bounced.has(id) && (ending?.at ?? now) < now - undecidedMilliseconds,
    );
    const row = new Set(mails.slice(0, stayed < 0 ? undefined : stayed).map(({ id }) => id));
    const days = daysOf(own.filter(({ id }) => row.has(id)));
    if (days >= leastDays) found.push({ contact: last.contact, days, last: last.at, reply: last.reply });
  }
  return found;
};

/**
 * The contacts of a site who get no mail, at most 20 of each kind. The first kind: all last mails bounced for good, on three
 * days (UTC) or more. The second: relays refused or deferred at least the last three attempts at RCPT, over 15 minutes.
 */
export const bouncing = async (ledger: Ledger, site: string, now: number): Promise<Bouncing[]> => {
  const [returned, refused] = await Promise.all([
    returnedContacts(ledger, site, now),
    refusedContacts(ledger, site),
  ]);
  return [...returned, ...refused];
};
