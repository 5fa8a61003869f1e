import * as v from "valibot";
import { hostStates, notificationTypes, serviceStates } from "../alert.ts";
import { meaning, type Row } from "../decide/rows.ts";
import { steps } from "../deliver/outcome.ts";
import { returnKinds } from "../deliver/returned.ts";
import { endings, outcomes } from "../ledger/journal.ts";

// The answers of the HTTP API, exactly: openapi.json is made of this, and the compiler holds the answers to it. The
// bridge itself imports the types alone.

const { optional } = v;
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(0));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const texts = v.array(v.string());
const row = v.picklist(Object.keys(meaning) as Row[]);
const state = v.picklist([...hostStates, ...serviceStates]);
const type = v.picklist(notificationTypes);

/** A fault of one field of a request. */
export const fault = v.strictObject({ field: v.string(), expected: v.string() });

/** The result of one alert of a post, for one contact. */
export const posted = v.variant("status", [
  v.strictObject({
    item: count,
    id: v.string(),
    object: v.string(),
    contact: v.string(),
    status: v.literal("queued"),
  }),
  v.strictObject({
    item: count,
    id: optional(v.string()),
    /** With the contact: the mailbox that is rejected. Without them it is the alert itself. */
    object: optional(v.string()),
    contact: optional(v.string()),
    status: v.literal("rejected"),
    errors: v.array(fault),
    /** How many more faults this item has. */
    more: optional(count),
  }),
]);
export type Posted = v.InferOutput<typeof posted>;

export const taken = v.strictObject({ alerts: v.array(posted) });

const lineEntries = {
  id: v.string(),
  object: v.string(),
  contact: v.string(),
  monitor: v.string(),
  type,
  state,
  received: milliseconds,
  made: optional(row),
  status: v.picklist(["pending", ...endings]),
  outcome: v.string(),
  /** The id of the digest that tells it. */
  digest: optional(v.string()),
};

/** An alert as lists show it. */
export const line = v.strictObject(lineEntries);
export type Line = v.InferOutput<typeof line>;

const rejectedEntries = {
  id: v.string(),
  object: optional(v.string()),
  contact: optional(v.string()),
  monitor: optional(v.string()),
  first: milliseconds,
  /** When the last one came. */
  received: milliseconds,
  status: v.literal("rejected"),
  outcome: v.string(),
  count,
  errors: v.array(fault),
};

/** Rejections for one object and contact on one day, as lists show them: nothing of it was accepted. */
export const rejectedLine = v.strictObject(rejectedEntries);
export type RejectedLine = v.InferOutput<typeof rejectedLine>;

/** The same with its story, and the ids of the last alerts as their client gave them. */
export const rejectedStory = v.strictObject({ ...rejectedEntries, story: texts, alerts: texts });
export type RejectedStory = v.InferOutput<typeof rejectedStory>;

const tls = v.strictObject({
  version: v.string(),
  cipher: v.string(),
  subject: v.string(),
  validTo: v.string(),
});

/** One try to hand its mail to a relay. */
export const attempt = v.strictObject({
  at: milliseconds,
  route: v.string(),
  result: v.picklist(["accepted", "deferred", "refused", "unauthorised"]),
  reply: v.string(),
  code: optional(v.pipe(v.number(), v.integer())),
  durationMilliseconds: v.number(),
  tls: optional(tls),
  queueId: optional(v.string()),
  step: optional(v.picklist(steps)),
  ...v.entriesFromList(["lostAfterData", "tooFast", "quota", "unclear", "reduced"], optional(v.boolean())),
  about: optional(v.picklist(["recipient", "message"])),
});

/** The whole story of an alert. */
export const story = v.strictObject({
  ...lineEntries,
  story: texts,
  verdict: optional(
    v.strictObject({
      at: milliseconds,
      action: v.picklist(["send", "suppress", "record", "hold"]),
      row,
      reason: v.string(),
      kind: optional(v.string()),
      episode: optional(v.strictObject({ id: v.string(), since: milliseconds })),
    }),
  ),
  holds: v.array(v.strictObject({ at: milliseconds, until: milliseconds, row, reason: v.string() })),
  claim: optional(
    v.strictObject({ attempt: count, since: milliseconds, until: milliseconds, receiveCount: count }),
  ),
  message_id: optional(v.string()),
  attempts: v.array(attempt),
  ending: optional(v.strictObject({ at: milliseconds, as: v.picklist(endings), reason: v.string() })),
  /** For a digest: the ids of the alerts in it. */
  members: optional(v.array(v.string())),
  returned: optional(
    v.array(
      v.strictObject({
        at: milliseconds,
        kind: v.picklist(returnKinds),
        contact: v.string(),
        reply: v.string(),
        permanent: optional(v.literal(true)),
      }),
    ),
  ),
});
export type Story = v.InferOutput<typeof story>;

/** The content of a non-delivery report, and whether it was news. */
export const returnAnswer = v.variant("status", [
  v.strictObject({
    status: v.picklist(["noted", "known"]),
    site: v.string(),
    id: v.string(),
    contact: v.string(),
    kind: v.picklist(["bounce", "delay"]),
    reply: v.string(),
    permanent: optional(v.literal(true)),
  }),
  v.strictObject({ status: v.literal("ignored"), reason: v.string() }),
]);
export type ReturnAnswer = v.InferOutput<typeof returnAnswer>;

/** An alert that the queue has, and nothing was decided of. */
export const waiting = v.strictObject({ id: v.string(), status: v.literal("pending"), detail: v.string() });

/** An open episode. */
export const episode = v.strictObject({
  object: v.string(),
  state: optional(state),
  since: optional(milliseconds),
  acknowledged: optional(milliseconds),
  monitors: texts,
  told: v.array(v.strictObject({ contact: v.string(), state, at: milliseconds })),
  waiting: v.array(v.strictObject({ contact: v.string(), row, due: milliseconds })),
  suppressed: optional(count),
});
export type OpenEpisode = v.InferOutput<typeof episode>;

export const problems = v.strictObject({ problems: v.array(episode), next: optional(v.string()) });

const totals = v.strictObject(v.entriesFromList(["accepted", ...outcomes], count));

export const journal = v.strictObject({
  alerts: v.array(v.union([line, rejectedLine])),
  next: optional(v.string()),
  totals: optional(totals),
});

/** A dead letter. An unreadable message has a reason and no alert. */
export const deadLetter = v.strictObject({
  id: optional(v.string()),
  object: optional(v.string()),
  contact: optional(v.string()),
  type: optional(type),
  state: optional(state),
  reason: v.string(),
  dead: milliseconds,
});
export type DeadLetter = v.InferOutput<typeof deadLetter>;

export const queuePage = v.strictObject({
  waiting: count,
  in_flight: count,
  oldest: optional(milliseconds),
  dead_letters: v.array(deadLetter),
});

export const redriven = v.strictObject({ redriven: count });

/** How the bridge is, as one site may know it. */
export const statusPage = v.strictObject({
  now: milliseconds,
  queue: v.strictObject({ waiting: count, in_flight: count, oldest: optional(milliseconds) }),
  /** Counted up to `mostDeadLetters`. */
  dead_letters: count,
  routes: v.array(
    v.strictObject({
      route: v.string(),
      /** No mail goes by it but a probe now and then. */
      down: v.boolean(),
      /** It refuses our login, sender or account, or the way to it is not safe; down or not. */
      refused: v.boolean(),
      since: optional(milliseconds),
      reason: optional(v.string()),
      probe_at: optional(milliseconds),
    }),
  ),
  heartbeats: v.array(v.strictObject({ monitor: v.string(), last: milliseconds, silent: v.boolean() })),
  /** When the site's last alert was received, and when a relay last took a mail of it. */
  last: v.strictObject({ accepted: optional(milliseconds), mailed: optional(milliseconds) }),
  /** Alerts, or mailboxes of alerts, that were rejected in the last 24 hours. */
  rejected: count,
  /** Posts without a token of any site in the last 24 hours, and what the last one called itself. */
  wrong_tokens: v.strictObject({ count, last: optional(milliseconds), monitor: optional(v.string()) }),
  /**
   * Contacts who get no mail, with the number of days, the last time and the last reply. Their mails came back on three
   * days or more. With `refused`, relays refused or deferred each of the last attempts, over 15 minutes or more.
   */
  bouncing: v.array(
    v.strictObject({
      contact: v.string(),
      days: count,
      last: milliseconds,
      reply: v.string(),
      refused: optional(v.literal(true)),
    }),
  ),
});
export type StatusPage = v.InferOutput<typeof statusPage>;

export const heard = v.strictObject({ site: v.string(), monitor: v.string(), at: milliseconds });
export const alive = v.strictObject({ status: v.literal("alive") });
export const ready = v.strictObject({ status: v.literal("ready") });
