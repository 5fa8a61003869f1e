import * as v from "valibot";
import { type Reading, read } from "../alert.ts";
import { printable } from "./printable.ts";
import type { Returned } from "./returned.ts";

/** A report of SES about a mail that it had accepted: by its own id of the mail, and of which alert it was. */
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
/** A mail of ours has one recipient. */
const recipients = v.pipe(
  v.array(v.object({ emailAddress: v.string("an address"), status: text, diagnosticCode: text })),
  v.minLength(1, "a recipient"),
);
const mail = v.object({
  messageId: v.string("text"),
  timestamp: time,
  destination: v.array(v.string("an address")),
  tags: v.object({ [tagName]: v.tuple([v.string("text")], "the tag of a mail of this bridge") }),
});
const bounce = v.object({
  eventType: v.literal("Bounce"),
  mail,
  bounce: v.object({ timestamp: time, bounceType: text, bounceSubType: text, bouncedRecipients: recipients }),
});
const complaint = v.object({
  eventType: v.literal("Complaint"),
  mail,
  complaint: v.object({ timestamp: time, complaintFeedbackType: text, complainedRecipients: recipients }),
});
const delay = v.object({
  eventType: v.literal("DeliveryDelay"),
  mail,
  deliveryDelay: v.object({ timestamp: time, delayType: text, delayedRecipients: recipients }),
});
const reject = v.object({ eventType: v.literal("Reject"), mail, reject: v.object({ reason: text }) });
const events = v.variant(
  "eventType",
  [bounce, complaint, delay, reject],
  "a Bounce, Complaint, DeliveryDelay or Reject",
);

const returnedBy = (event: v.InferOutput<typeof events>): Omit<Returned, "reply"> & { said: string[] } => {
  switch (event.eventType) {
    case "Bounce": {
      const { timestamp: at, bounceType, bounceSubType, bouncedRecipients } = event.bounce;
      const { emailAddress = "", status = "", diagnosticCode = "" } = bouncedRecipients[0] ?? {};
      const said = [`${bounceType} ${bounceSubType}`, status, diagnosticCode];
      const permanent = bounceType === "Permanent" && { permanent: true as const };
      return { at, kind: "bounce", contact: emailAddress, said, ...permanent };
    }
    case "DeliveryDelay": {
      const { timestamp: at, delayType, delayedRecipients } = event.deliveryDelay;
      const { emailAddress = "", status = "", diagnosticCode = "" } = delayedRecipients[0] ?? {};
      return { at, kind: "delay", contact: emailAddress, said: [delayType, status, diagnosticCode] };
    }
    case "Complaint": {
      const { timestamp: at, complaintFeedbackType, complainedRecipients } = event.complaint;
      const contact = complainedRecipients[0]?.emailAddress ?? "";
      return { at, kind: "complaint", contact, said: [complaintFeedbackType] };
    }
    case "Reject": {
      const { timestamp: at, destination } = event.mail;
      return { at, kind: "reject", contact: destination[0] ?? "", said: [event.reject.reason] };
    }
  }
};

// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html has the fields.
/** Reads the `detail` of an event that SES gives to EventBridge. */
export const readFeedback = (input: unknown): Reading<Feedback> => {
  const reading = read(events, input);
  if (!reading.ok) return reading;
  const { messageId, tags } = reading.value.mail;
  const [site = "", id = ""] = Buffer.from(tags[tagName][0], "base64url").toString().split(" ");
  const { contact, said, ...rest } = returnedBy(reading.value);
  const reply = said
    .map((words) => words.trim())
    .filter(Boolean)
    .join(": ");
  const returned = { ...rest, contact: printable(contact), reply: printable(reply) };
  return { ok: true, value: { site, id, messageId, returned } };
};
