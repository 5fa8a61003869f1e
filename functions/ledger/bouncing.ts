import { contactKey } from "../address.ts";
import type { Ledger } from "./ledger.ts";
import { dayOf } from "./rejection.ts";

/** A contact whose last mails all bounced for good, on `days` different days. */
export type Bouncing = {
  contact: string;
  days: number;
  /** When the last one bounced, in Unix milliseconds, and why. */
  last: number;
  reply: string;
};

const leastDays = 3;
/** A mail that is younger may still bounce. */
const undecidedMilliseconds = 3_600_000;
const mostMails = 500;
const mostContacts = 20;

/**
 * The contacts of a site whose last mails all bounced for good, on three days (UTC) or more; at most 20. Reads the
 * site's reports first, and then the mails of those contacts alone that have three such days.
 */
export const bouncing = async (ledger: Ledger, site: string, now: number): Promise<Bouncing[]> => {
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
