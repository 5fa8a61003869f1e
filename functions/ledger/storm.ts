import { contactKey } from "../address.ts";
import { cleanLine, cut, type NotificationType, readAlert, severity } from "../alert.ts";
import type { Send } from "../decide/case.ts";
import { type Count, type Entry, type Held, type Storm, type Told, withHeld } from "../decide/entry.ts";
import { withEach } from "../decide/monitor-view.ts";
import type { Policy } from "../decide/policy.ts";
import { contactEntryKey, fingerprint } from "../identity.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { Rate } from "../time.ts";
import { untilWritten } from "../until-written.ts";
import { type JournalRecord, newRecord } from "./journal.ts";
import type { Ledger, Page } from "./ledger.ts";
import { heldRecord, noteDigest } from "./page.ts";

/** The digest that tells an alert, and the reason why the alert gets no mail of its own. */
type Telling = { id: string; why: string };

/** A digest with more alerts would be too long to read. The next alert begins another. */
const mostMembers = 1000;

/** The texts of people, and flapping. All other types are about states and downtimes. */
const notes: readonly NotificationType[] = [
  "CUSTOM",
  "ACKNOWLEDGEMENT",
  "FLAPPINGSTART",
  "FLAPPINGSTOP",
  "FLAPPINGDISABLED",
];

/** How many mails go out alone. With burst `off`, alerts that follow a digest still go into another digest. */
const burstOf = ({ burst = { most: 1, milliseconds: 60_000 } }: Policy): Rate => burst;
const rateOf = (type: NotificationType, policy: Policy): Rate =>
  notes.includes(type) ? policy.noteBurst : burstOf(policy);

/** The count of the period of `now`. If `now` is a little earlier, a worker is late; if more, the clock was set back. */
const countAt = (count: Count | undefined, { milliseconds }: Rate, now: number): Count =>
  count && Math.abs(now - count.since) < milliseconds ? count : { since: now, alone: 0 };

const stormOf = ({ storm }: Entry, now: number): Storm =>
  storm ?? { since: 0, alone: 0, next: now, digests: {} };

/** The storm with one more mail that goes out alone; undefined if no more may in this period. */
const withOneMore = (
  storm: Storm,
  type: NotificationType,
  policy: Policy,
  now: number,
): Storm | undefined => {
  const isNote = notes.includes(type);
  const rate = rateOf(type, policy);
  const { since, alone } = countAt(isNote ? storm.notes?.[type] : storm, rate, now);
  if (alone >= rate.most) return undefined;
  const counted = { since, alone: alone + 1 };
  return isNote ? { ...storm, notes: { ...storm.notes, [type]: counted } } : { ...storm, ...counted };
};

/** Why a mail does not go out alone. */
const tooMany = (type: NotificationType, policy: Policy): string => {
  const { most, milliseconds } = rateOf(type, policy);
  const mails = notes.includes(type) ? `${type} mails` : "mails";
  return `more than ${most} ${mails} in ${milliseconds / 1000} s`;
};

const openIn = ({ digests }: Storm): [string, string[]] | undefined => {
  const last = Object.entries(digests).at(-1);
  return last && last[1].length < mostMembers ? last : undefined;
};

/** The object of all digests, as people read it. */
const place = { host: "hardstate", service: "digest" };

/** The alert of a contact's digest. Its first member says how it looks in the journal; its mail tells all. */
const digestAlert = (first: QueuedAlert, number: number, now: number): QueuedAlert => {
  const { site, severalSites, contact, contactName, alert } = first;
  const id = fingerprint("digest", site, contactKey(contact), String(number)).slice(0, 32);
  const states = ["OK", "WARNING", "UNKNOWN", "CRITICAL"] as const;
  const reading = readAlert({
    v: 1,
    source: "other",
    monitor: { id: "hardstate" },
    type: alert.type,
    object: place,
    state: states[severity[alert.state]],
    time: Math.floor(now / 1000),
  });
  if (!reading.ok) throw new Error(`a digest is no alert: ${JSON.stringify(reading.faults)}`);
  return {
    v: 1,
    id,
    site,
    ...(severalSites && { severalSites }),
    contact,
    contactName,
    receivedAt: now,
    made: { row: "R46", episode: id },
    alert: reading.value,
  };
};

/** The entry with its digests due by then, in their order: the clock may be set back, or the burst shorter now. */
const sooner = (entry: Entry, due: number): Entry => {
  const waits = ({ row, queued }: Held) => row === "R46" && !queued;
  const first = Math.min(...Object.values(entry.held).flatMap((one) => (waits(one) ? [one.due] : [])));
  const late = Math.max(first - due, 0);
  const held = withEach(entry.held, (one) => (waits(one) ? { ...one, due: one.due - late } : one));
  return { ...entry, held };
};

/**
 * Counts the mail of an alert if it goes out alone. Otherwise resolves to the digest that is to tell it, and why. `about`
 * says what the contact was told about the object. A note never follows a digest, because it is not part of a problem.
 */
export const admit = async (
  ledger: Ledger,
  queued: QueuedAlert,
  policy: Policy,
  told: Told | undefined,
  episode: string | undefined,
  now: number,
): Promise<Telling | undefined> => {
  const { site, contact, alert } = queued;
  const key = contactEntryKey(site, contact);
  const isNote = notes.includes(alert.type);
  // A digest told them of this episode, or the last one about the object would arrive after this mail.
  const follows =
    !isNote &&
    told?.digest !== undefined &&
    ((policy.burst !== undefined && told.thread === episode) ||
      (await ledger.story(site, told.digest))?.ending === undefined);
  if (!isNote && !policy.burst && !follows) return undefined;
  const { digest } = await untilWritten("the ledger's entry of a contact", async () => {
    const entry = await ledger.entry(key);
    const storm = stormOf(entry, now);
    const counted = follows ? undefined : withOneMore(storm, alert.type, policy, now);
    if (!counted) {
      const id = openIn(storm)?.[0] ?? digestAlert(queued, storm.next, now).id;
      const why = follows ? "a digest told what came before it" : tooMany(alert.type, policy);
      return { digest: { id, why } };
    }
    const next = { ...entry, touchedAt: now, storm: counted };
    const written = await ledger.write({ key, entry: next, records: [], of: { site, ...place } });
    return written ? { digest: undefined } : undefined;
  });
  return digest;
};

/**
 * Puts an alert into the digest `noted`, which its journal record names already. A second call changes nothing. Resolves to
 * the id of the digest that tells the alert. If that is another digest, the record must name that one first: after a
 * digest is closed, only the records of its alerts say what it tells.
 */
export const join = async (
  ledger: Ledger,
  queued: QueuedAlert,
  noted: string,
  policy: Policy,
  now: number,
): Promise<string> => {
  const { site, id, contact, alert } = queued;
  const key = contactEntryKey(site, contact);
  const burst = burstOf(policy);
  // HARDSTATE_BURST may count a whole day. The words of a person must not wait so long.
  const longest = Math.min(burst.milliseconds, rateOf(alert.type, policy).milliseconds);
  return untilWritten("the ledger's entry of a contact", async () => {
    const entry = await ledger.entry(key);
    const stored = stormOf(entry, now);
    const storm = { ...stored, ...countAt(stored, burst, now) };
    const known = Object.entries(storm.digests).find(([, members]) => members.includes(id));
    if (known) return known[0];
    const open = openIn(storm);
    const opened = digestAlert(queued, storm.next, now);
    const [name, members] = open ?? [opened.id, []];
    if (name !== noted) {
      // After the entry: what is not in it any more was closed before, and then its record has all that it tells.
      const told = (await ledger.story(site, noted))?.members?.includes(id);
      return told ? noted : name;
    }
    const digests = { ...storm.digests, [name]: [...members, id] };
    const base: Entry = { ...entry, touchedAt: now };
    const ends = Math.min(storm.since + burst.milliseconds, now + longest);
    const held = sooner(base, now + longest);
    if (open) {
      const joined = { ...held, storm: { ...storm, digests } };
      return (await ledger.write({ key, entry: joined, records: [] })) ? name : undefined;
    }
    const before = Object.values(held.held).filter(({ row }) => row === "R46");
    const due = Math.max(ends, ...before.map((one) => one.due + 1));
    const begun = { ...held, storm: { ...storm, next: storm.next + 1, digests } };
    const reason = `${tooMany(alert.type, policy)}: the rest is told together`;
    const hold = { at: now, row: "R46" as const, reason, until: due };
    const records = [heldRecord(newRecord(opened), opened, hold)];
    const written = await ledger.write({ key, entry: withHeld(begun, opened, "R46", due), records });
    return written ? name : undefined;
  });
};

/**
 * The line of a digest about one alert, beside what the journal has. For a downtime it is author and reason. For a note it
 * is author and text, longer than the others because no other mail tells it. Else it is the first line of the output.
 */
export const lineOf = ({ alert: { type, author, comment, output = "" } }: QueuedAlert): string => {
  const written = [author, cleanLine(comment ?? "")].filter(Boolean).join(": ");
  if (notes.includes(type)) return cut(written || output, 255);
  return cut(type.startsWith("DOWNTIME") ? written : output, 120);
};

/** The pipeline's side of digests. `inTurn` makes the steps of one process on one contact's entry follow each other. */
export const digests = (
  ledger: Ledger,
  policy: Policy,
  inTurn: <T>(key: string, step: () => Promise<T>) => Promise<T>,
) => {
  /** The digest that is to tell an alert, and why; undefined if the alert gets a mail of its own. */
  const digestFor = async (
    queued: QueuedAlert,
    { entry }: Page,
    { kind, episode, decidedAt }: Send,
    now: number,
  ): Promise<Telling | undefined> => {
    if (decidedAt !== undefined || kind === "DIGEST") return undefined;
    const told = entry.contacts[contactKey(queued.contact)];
    const { site, contact } = queued;
    // A downtime is not part of a problem: it goes out alone though a digest told the problem.
    const part = kind === "DOWNTIME" ? undefined : episode?.id;
    return inTurn(contactEntryKey(site, contact), () => admit(ledger, queued, policy, told, part, now));
  };
  /** Puts an alert that the journal has as digested into its digest, or into another. */
  const joinDigest = async (queued: QueuedAlert, noted: string, now: number) => {
    const key = contactEntryKey(queued.site, queued.contact);
    let id = noted;
    await untilWritten("the digest of an alert", async () => {
      const joined = await inTurn(key, () => join(ledger, queued, id, policy, now));
      if (joined === id) return true;
      id = await noteDigest(ledger, queued, id, joined);
      return undefined;
    });
  };
  /** The news that a digest's contact got in other mails while the digest was a dead letter. */
  const toldMeanwhile = async (queued: QueuedAlert, members: readonly string[]) => {
    const meanwhile: NonNullable<JournalRecord["meanwhile"]> = {};
    const keys = new Set((await ledger.stories(queued.site, members)).map(({ objectKey }) => objectKey));
    for (const key of keys) {
      const told = (await ledger.entry(key)).contacts[contactKey(queued.contact)];
      if (told && told.digest !== queued.id)
        meanwhile[key] = { state: told.state, recovered: told.recovered };
    }
    return meanwhile;
  };
  return { digestFor, joinDigest, toldMeanwhile };
};
