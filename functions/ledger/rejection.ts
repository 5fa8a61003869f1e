import { contactKey } from "../address.ts";
import { cleanLine, cut, type Fault } from "../alert.ts";
import { fingerprint } from "../identity.ts";
import { untilWritten } from "../until-written.ts";
import { hourMilliseconds } from "./flow.ts";
import { cursorOf, type Ledger, type Listing } from "./ledger.ts";
import { stamp } from "./story.ts";

/**
 * The rejections for one object and contact of a site on one day of UTC: whole posts, or mailboxes of posts. It is
 * beside the journal's sums, for none of it was accepted. Times are Unix milliseconds.
 */
export type Rejection = {
  id: string;
  /** Empty for requests without a token, which belong to no site. */
  site: string;
  /** The revision of the ledger's row; 0 if there is none yet. */
  revision: number;
  object?: string;
  contact?: string;
  monitor?: string;
  /** The faults of the last one. */
  faults: Fault[];
  /** The ids of the last alerts, where their client gave one. */
  ids: string[];
  first: number;
  last: number;
  /** How many there were, by the number of the hour since 1970. */
  hours: Record<string, number>;
  /** The operators, if there are any, have been told. */
  told?: true;
};

/** One post, or one mailbox of a post, that is rejected: as much of it as can be read. `count`: so many alike. */
export type Rejected = Pick<Rejection, "object" | "contact" | "monitor" | "faults"> & {
  id?: string;
  count?: number;
};

const dayMilliseconds = 86_400_000;
/** The number of a time's day since 1970, in UTC. */
export const dayOf = (at: number): number => Math.floor(at / dayMilliseconds);
const hourOf = (at: number): number => Math.floor(at / hourMilliseconds);

/** How many rejections of one site and day have a record of their own; the others share one more. */
export const mostRejections = 200;
const mostIds = 20;
const mostFaults = 10;
const mostBytes = 255;
const short = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : cut(cleanLine(text), mostBytes) || undefined;

/** How many posts or mailboxes a rejection stands for. */
export const countOf = ({ hours }: Rejection): number =>
  Object.values(hours).reduce((sum, count) => sum + count, 0);

/** The faults in words: each field, and what was expected there. */
export const faultWords = (faults: readonly Fault[]): string =>
  faults.map(({ field, expected }) => `${field}: expected ${expected}`).join("; ");

/** How it stands with a rejection, in one sentence. */
export const rejectionOutcome = (rejection: Rejection): string => {
  const count = countOf(rejection);
  return `rejected${count === 1 ? "" : ` ${count} times`}, not mailed: ${faultWords(rejection.faults)}`;
};

/** The events, a line for each, in order; the last says how it stands. */
export const rejectionStory = (rejection: Rejection): string[] => {
  const { object, contact, monitor, first, last } = rejection;
  const what = `${object ?? "an object that cannot be read"} for ${contact ?? "a contact that cannot be read"}`;
  return [
    `${stamp(first)} UTC  posted by ${monitor ?? "a monitor that gave no name"}, and rejected: ${what}`,
    ...(last > first ? [`${stamp(last)} UTC  posted and rejected again`] : []),
    rejectionOutcome(rejection),
  ];
};

/** The ids of the two records that tell of requests without a token in the last 24 hours. */
const wrongTokenIds = (now: number): string[] => [0, 1].map((days) => `wrong-tokens-${dayOf(now) - days}`);

const withOne = (known: Rejection, one: Rejected, now: number): Rejection => ({
  ...known,
  monitor: short(one.monitor),
  faults: one.faults
    .slice(0, mostFaults)
    .map(({ field, expected }) => ({ field: short(field) ?? "", expected: cut(cleanLine(expected), 600) })),
  ids:
    one.id === undefined ? known.ids : [...known.ids.filter((id) => id !== one.id), one.id].slice(-mostIds),
  last: Math.max(known.last, now),
  hours: { ...known.hours, [hourOf(now)]: (known.hours[hourOf(now)] ?? 0) + (one.count ?? 1) },
});

/** Adds to a rejection as it is known, or begins. A post that comes again after a crash of the bridge counts twice. */
const add = async (ledger: Ledger, begin: Rejection, ones: readonly Rejected[], now: number) => {
  let known = begin;
  await untilWritten("a rejection", async () => {
    if (await ledger.writeRejection(ones.reduce<Rejection>((sum, one) => withOne(sum, one, now), known)))
      return true;
    known = (await ledger.rejection(begin.site, begin.id)) ?? begin;
    return undefined;
  });
};

const begun = (site: string, id: string, now: number): Rejection => ({
  id,
  site,
  revision: 0,
  faults: [],
  ids: [],
  first: now,
  last: now,
  hours: {},
});

/**
 * Notes the rejections of a site: one record for each object, contact and day. A site has at most `mostRejections`
 * and one a day, so that no flood fills the disk. `begunToday` has the ids of that site and day that this process has
 * begun: of those that are noted at once none sees the others in the ledger.
 */
export const noteRejected = async (
  ledger: Ledger,
  site: string,
  rejected: readonly Rejected[],
  now: number,
  begunToday: Set<string> = new Set(),
): Promise<void> => {
  const day = String(dayOf(now));
  const idFor = (...parts: string[]) => fingerprint("rejected", site, day, ...parts).slice(0, 32);
  const all = [
    ...Map.groupBy(rejected, ({ object = "", contact = "" }) => idFor(object, contactKey(contact))),
  ];
  // One post may name thousands of contacts: the ledger is not asked for each.
  const [groups, rest] = [all.slice(0, mostRejections), all.slice(mostRejections)];
  const known = new Map(
    await Promise.all(groups.map(async ([id]) => [id, await ledger.rejection(site, id)] as const)),
  );
  const fresh = groups.map(([id]) => id).filter((id) => !known.get(id));
  const listed = fresh.length > 0 ? (await ledger.rejections({ site, limit: mostRejections })).items : [];
  const today = listed.filter(({ first }) => dayOf(first) === dayOf(now)).map(({ id }) => id);
  const taken = new Set([...today, ...begunToday]);
  const over = new Set<string>();
  for (const id of fresh) {
    if (!taken.has(id) && taken.size >= mostRejections) over.add(id);
    else for (const ids of [taken, begunToday]) ids.add(id);
  }
  const others = [...groups.filter(([id]) => over.has(id)), ...rest].flatMap(([, ones]) => ones);
  if (others.length > 0) {
    const id = idFor("more");
    await add(ledger, (await ledger.rejection(site, id)) ?? begun(site, id, now), others, now);
  }
  await Promise.all(
    groups
      .filter(([id]) => !over.has(id))
      .map(([id, ones]) => {
        const [object, contact] = [short(ones[0]?.object), short(ones[0]?.contact)];
        return add(ledger, known.get(id) ?? { ...begun(site, id, now), object, contact }, ones, now);
      }),
  );
};

/** Notes requests that came without a token of any site, in one record a day. Nobody is told of them by mail. */
export const noteWrongTokens = async (
  ledger: Ledger,
  count: number,
  monitor: string | undefined,
  now: number,
): Promise<void> => {
  const [id = ""] = wrongTokenIds(now);
  const faults = [{ field: "Authorization", expected: "Bearer and a token of HARDSTATE_TOKENS" }];
  const begin = (await ledger.rejection("", id)) ?? { ...begun("", id, now), told: true };
  await add(ledger, begin, [{ monitor, faults, count }], now);
};

/** How many there were in the 24 hours that end with the hour of `now`. */
const inLastDay = (rejections: readonly Rejection[], now: number): number =>
  rejections
    .flatMap(({ hours }) => Object.entries(hours))
    .filter(([hour]) => Number(hour) > hourOf(now) - 24)
    .reduce((sum, [, count]) => sum + count, 0);

/** Requests without a token in the last 24 hours: how many, when the last was, and which monitor it named. */
export type WrongTokens = { count: number; last?: number; monitor?: string };

/** The rejections and wrong tokens of the last 24 hours: of this site, and without a token. */
export type TurnedAway = { rejected: number; wrongTokens: WrongTokens };

const pageSize = 100;

/** Counts what was turned away in the last 24 hours. Reads as many records as there are of these hours, and a page. */
export const turnedAway = async (ledger: Ledger, site: string, now: number): Promise<TurnedAway> => {
  const tokens = (await Promise.all(wrongTokenIds(now).map((id) => ledger.rejection("", id)))).filter(
    (one) => one !== undefined,
  );
  const latest = tokens.toSorted((a, b) => b.last - a.last)[0];
  const count = inLastDay(tokens, now);
  let [rejected, before]: [number, string | undefined] = [0, undefined];
  do {
    const { items, next } = await ledger.rejections({ site, before, limit: pageSize });
    rejected += inLastDay(items, now);
    const recent = hourOf(items.at(-1)?.last ?? 0) > hourOf(now) - 24;
    before = recent ? next : undefined;
  } while (before !== undefined);
  return {
    rejected,
    wrongTokens: count > 0 ? { count, last: latest?.last, monitor: latest?.monitor } : { count },
  };
};

const mostPassedOver = 2000;

/** A page of a site's rejections that are about this object and contact, the last one first. */
export const listRejections = async (
  ledger: Ledger,
  query: { site: string; object?: string; contact?: string; before?: string; limit: number },
): Promise<Listing<Rejection>> => {
  const { site, object, contact, limit } = query;
  const wanted = (one: Rejection): boolean =>
    (object === undefined || one.object === object) &&
    (contact === undefined || contactKey(one.contact ?? "") === contactKey(contact));
  const items: Rejection[] = [];
  let before = query.before;
  for (let seen = 0; seen < mostPassedOver; seen += pageSize) {
    const page = await ledger.rejections({ site, before, limit: pageSize });
    for (const one of page.items) {
      if (wanted(one)) items.push(one);
      if (items.length === limit) return { items, next: cursorOf(one.last, one.id) };
    }
    if (page.next === undefined) return { items };
    before = page.next;
  }
  return { items, next: before };
};

/**
 * The rejection of this id, or the one of the last 200 that has an alert of this id. Each mailbox of an alert has the
 * alert's id with a dot and eight digits.
 */
export const findRejection = async (
  ledger: Ledger,
  site: string,
  id: string,
): Promise<Rejection | undefined> =>
  (await ledger.rejection(site, id)) ??
  (await ledger.rejections({ site, limit: mostRejections })).items.find(({ ids }) =>
    ids.some((one) => one === id || one.startsWith(`${id}.`)),
  );
