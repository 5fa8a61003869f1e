import { objectName } from "../alert.ts";
import { openProblem, waitingIn } from "../decide/entry.ts";
import { type JournalRecord, objectOf } from "../ledger/journal.ts";
import type { OpenProblem } from "../ledger/ledger.ts";
import { countOf, type Rejection, rejectionOutcome, rejectionStory } from "../ledger/rejection.ts";
import { outcomeOf, storyOf } from "../ledger/story.ts";
import type { DeadLetter } from "../queue/queue.ts";
import type * as shapes from "./shapes.ts";

/** An alert as lists show it. */
export const alertOf = (record: JournalRecord): shapes.Line => ({
  id: record.id,
  object: objectOf(record),
  contact: record.contact,
  monitor: record.monitor,
  type: record.type,
  state: record.state,
  received: record.receivedAt,
  made: record.made,
  status: record.ending?.as ?? "pending",
  outcome: outcomeOf(record),
  digest: record.digest?.id,
});

/** The whole story, in words and in parts. */
export const wholeOf = (record: JournalRecord): shapes.Story => ({
  ...alertOf(record),
  story: storyOf(record),
  verdict: record.verdict,
  holds: record.holds,
  claim: record.claim,
  message_id: record.messageId,
  attempts: record.attempts.map(({ outcome, ...attempt }) => ({ ...attempt, ...outcome })),
  ending: record.ending,
  members: record.members,
  returned: record.returned,
});

/** A rejection as lists show it. */
export const rejectedOf = (rejection: Rejection): shapes.RejectedLine => ({
  id: rejection.id,
  object: rejection.object,
  contact: rejection.contact,
  monitor: rejection.monitor,
  first: rejection.first,
  received: rejection.last,
  status: "rejected",
  outcome: rejectionOutcome(rejection),
  count: countOf(rejection),
  errors: rejection.faults,
});
export const rejectedStoryOf = (rejection: Rejection): shapes.RejectedStory => ({
  ...rejectedOf(rejection),
  story: rejectionStory(rejection),
  alerts: rejection.ids,
});

/** An object's open problem, with every contact who was told of it. */
export const problemOf = ({ host, service, entry }: OpenProblem): shapes.OpenEpisode => {
  const problem = openProblem(entry);
  return {
    object: objectOf({ host, service }),
    state: problem?.state,
    since: problem?.since,
    acknowledged: problem?.acknowledgedAt,
    monitors: problem?.monitors ?? [],
    told: problem?.told ?? [],
    waiting: waitingIn(entry).map(([, { contact, row, due }]) => ({ contact, row, due })),
    suppressed: problem?.suppressed,
  };
};

/** A dead letter without what its alert says: the story has that. */
export const deadLetterOf = ({ alert, reason, deadAt }: DeadLetter): shapes.DeadLetter => ({
  id: alert?.id,
  object: alert && objectName(alert.alert),
  contact: alert?.contact,
  type: alert?.alert.type,
  state: alert?.alert.state,
  reason,
  dead: deadAt,
});
