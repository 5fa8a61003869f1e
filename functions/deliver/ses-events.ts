import * as v from "valibot";
import { type Reading, read } from "../alert.ts";
import type { Returned } from "../ledger/journal.ts";
import { printable } from "./delivery.ts";

/** What SES tells of a mail that it had taken: by its own id of the mail, and of which alert it was. */
export type Feedback = { site: string; id: string; messageId: string; returned: Returned };

const tagName = "hardstate-alert";

/** The tag by which SES names the alert in what it tells. Its value may have letters, digits, _ and - alone. */
export const tagOf = ({ site, id }: { site: string; id: string }): { Name: string; Value: string } => ({
  Name: tagName,
  Value: Buffer.from(`${site} ${id}`).toString("base64url"),
});

const text = v.optional(v.string("text"), "");
const time = v.pipe(
  v.string("a time"),
  v.transform((timestamp) => Date.parse(timestamp)),
  v.integer("a time"),
);
const recipients = v.pipe(
  v.array(v.object({ emailAddress: v.string("an address"), status: text, diagnosticCode: text })),
  v.minLength(1, "a recipient"),
);
const mail = v.object({
  messageId: v.string("text"),
  tags: v.object({ [tagName]: v.tuple([v.string("text")], "the tag of a mail of this bridge") }),
});
const detail = v.variant(
  "eventType",
  [
    v.object({
      eventType: v.literal("Bounce"),
      mail,
      bounce: v.object({
        timestamp: time,
        bounceType: text,
        bounceSubType: text,
        bouncedRecipients: recipients,
      }),
    }),
    v.object({
      eventType: v.literal("Complaint"),
      mail,
      complaint: v.object({ timestamp: time, complaintFeedbackType: text, complainedRecipients: recipients }),
    }),
  ],
  "a Bounce or a Complaint",
);

/**
 * Reads the `detail` of an event that SES gives to EventBridge
 * (https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html has its fields).
 */
export const readFeedback = (input: unknown): Reading<Feedback> => {
  const reading = read(detail, input);
  if (!reading.ok) return reading;
  const event = reading.value;
  const [site = "", id = ""] = Buffer.from(event.mail.tags[tagName][0], "base64url").toString().split(" ");
  const told =
    event.eventType === "Bounce"
      ? {
          at: event.bounce.timestamp,
          kind: "bounce" as const,
          of: event.bounce.bouncedRecipients,
          said: `${event.bounce.bounceType} ${event.bounce.bounceSubType}`.trim(),
        }
      : {
          at: event.complaint.timestamp,
          kind: "complaint" as const,
          of: event.complaint.complainedRecipients,
          said: event.complaint.complaintFeedbackType,
        };
  // A mail of ours has one recipient.
  const { emailAddress = "", status = "", diagnosticCode = "" } = told.of[0] ?? {};
  const reply = [told.said, status, diagnosticCode].filter((words) => words.trim() !== "").join(": ");
  const returned = {
    at: told.at,
    kind: told.kind,
    contact: printable(emailAddress),
    reply: printable(reply),
  };
  return { ok: true, value: { site, id, messageId: event.mail.messageId, returned } };
};
