import type { Known } from "../decide/case.ts";
import type { Entry } from "../decide/entry.ts";
import type { Numbered } from "../decide/order.ts";
import type { RouteState } from "../deliver/breaker.ts";
import type { Returned } from "../deliver/returned.ts";
import type { RouteStates } from "../deliver/routes.ts";
import type { QueuedAlert } from "../queue/message.ts";
import type { Flow } from "./flow.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { JournalRecord, Outcome, Totals } from "./journal.ts";
import type { Rejection } from "./rejection.ts";

/** The ledger's page about an alert. */
export type Page = Known & {
  /** Names the object. */
  key: string;
  record: JournalRecord;
  /** The news in its number about its monitor's run. */
  numbered?: Numbered;
};

/** Where an entry belongs. */
type Place = { site: string; host: string; service: string | null };

/** One step of an entry, with the records that change with it. The first step needs a record, or the place it is `of`. */
export type Change = {
  key: string;
  entry: Entry;
  records: readonly JournalRecord[];
  of?: Place;
  /** Is noted of the monitor of the first record. */
  numbered?: Numbered;
  /** It notes what came of a mail, which is sent again if that is lost. */
  offered?: true;
};

/** An entry that the sweep is to look at, and those of its alerts whose time is over, the first due first. */
export type Due = {
  key: string;
  /** As people read it. */
  object: string;
  entry: Entry;
  alerts: { queued: QueuedAlert; due: number }[];
  /** There are more such alerts of it than one answer holds; it is the last then. */
  partly?: true;
};

/** Which records of the journal are wanted; newest first, those before the cursor of the page before. */
export type JournalQuery = {
  site: string;
  object?: string;
  contact?: string;
  outcome?: Outcome;
  before?: string;
  limit: number;
};

/** A page of something; `next` is the cursor of the page after it, if there may be one; the page may be short then. */
export type Listing<T> = { items: T[]; next?: string };

/** An open episode. */
export type OpenProblem = { host: string; service: string | null; entry: Entry };

/** An object's entry, and the records of its alerts that change with it. */
export type Entries = {
  read(queued: QueuedAlert): Promise<Page>;
  /** The entry of this key, without all that `read` finds beside it. */
  entry(key: string): Promise<Entry>;
  /**
   * One conditional step on the entry's revision. Entry and records are on disk when it resolves true. Nothing has
   * changed when it resolves false: read and decide again.
   */
  write(change: Change): Promise<boolean>;
  /** At most `limit` entries whose time has come, the longest due first. */
  due(now: number, limit: number): Promise<Due[]>;
  /** Forgets ended records and idle entries from before a time, `limit` of each; none that a digest is to tell. */
  prune(before: number, limit: number): Promise<number>;
};

/** The answers to people's questions about alerts and open problems. */
export type Journal = {
  /** The journal's record of one alert of a site. */
  story(site: string, id: string): Promise<JournalRecord | undefined>;
  /** The records of those of a site's alerts that there are, in the order of their ids, without what came back. */
  stories(site: string, ids: readonly string[]): Promise<JournalRecord[]>;
  /** The record of the alert whose mail has this name (identity.ts), as soon as the mail may be on its way. */
  mailed(name: string): Promise<JournalRecord | undefined>;
  /** Adds what came back of a mail to its alert's story, once however often it is told. */
  noteReturned(site: string, id: string, returned: Returned): Promise<void>;
  /** Reports about a site's mails in 30 days, the last one first; at most 500. */
  returned(site: string): Promise<(Returned & { id: string })[]>;
  /** Records without the alerts that wait. */
  journal(query: JournalQuery): Promise<Listing<JournalRecord>>;
  problems(query: { site: string; before?: string; limit: number }): Promise<Listing<OpenProblem>>;
  /** Open episodes of all sites, at most `limit`. */
  open(limit: number): Promise<(OpenProblem & { site: string })[]>;
  /** How many records of a site end how, `pending` is the rest; in DynamoDB of each up to 50,000. */
  totals(site: string): Promise<Totals>;
  /** The results of the alerts that a site's monitors sent since a time; in DynamoDB of the newest 50,000 at most. */
  flow(site: string, since: number): Promise<Flow>;
};

/** Small documents, each with a revision: a write resolves to false, and changes nothing, unless it has the last one. */
export type Notes = RouteStates & {
  /** Every route that was ever used. */
  routes(): Promise<RouteState[]>;
  /** One monitor's heartbeat, and its next step on the revision that was read. */
  heartbeat(site: string, monitor: string): Promise<Heartbeat>;
  writeHeartbeat(heartbeat: Heartbeat): Promise<boolean>;
  /** Those of all sites, by site and monitor; those that were not heard for 30 days are forgotten. */
  heartbeats(): Promise<Heartbeat[]>;
  /** The rejection under one id, and its next step on the revision that was read. */
  rejection(site: string, id: string): Promise<Rejection | undefined>;
  writeRejection(rejection: Rejection): Promise<boolean>;
  /** Those of a site, the last one first; those of which the last was 30 days ago are forgotten. */
  rejections(query: { site: string; before?: string; limit: number }): Promise<Listing<Rejection>>;
  /** Those of all sites of which no operator was told, at most `limit`. */
  untoldRejections(limit: number): Promise<Rejection[]>;
};

export type Ledger = Entries &
  Journal &
  Notes & {
    /** Rejects with the reason if the ledger cannot be written now. */
    ready(): Promise<void>;
  };

/** How long what has ended is kept after it was received, in milliseconds: 30 days. */
export const keepMilliseconds = 30 * 86_400_000;

/** How many of a site's bounces and the like are looked at. */
export const mostReturned = 500;

/** Where a page begins: a time and, for those of the same time, a name. */
export const cursorOf = (at: unknown, name: unknown): string => `${at}.${name}`;
/** The time and name that a cursor gives; without one, those that come before everything. */
export const readCursor = (cursor: string | undefined): [number, string] => {
  const [, at = "", name = ""] = /^(\d{1,16})\.(.*)$/s.exec(cursor ?? "") ?? [];
  return at === "" ? [Number.MAX_SAFE_INTEGER, ""] : [Number(at), name];
};
