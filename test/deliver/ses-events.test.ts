import { describe, expect, it } from "vitest";
import { readFeedback, tagOf } from "../../functions/deliver/ses-events.ts";

const tag = tagOf({ site: "site-1.a_b", id: "web01.HTTP-1_x" });
const mail = {
  messageId: "0100018c-ses",
  timestamp: "2026-11-25T09:59:58Z",
  destination: ["ops@example.com"],
  tags: { [tag.Name]: [tag.Value], "ses:from-domain": ["example.com"] },
};
const bounce = {
  timestamp: "2026-11-25T10:00:00.123Z",
  bounceType: "Permanent",
  bounceSubType: "General",
  bouncedRecipients: [
    { emailAddress: "ops@example.com", status: "5.1.1", diagnosticCode: "smtp; 550 5.1.1\r\nno such user" },
  ],
};
const complaint = {
  timestamp: "2026-11-25T10:00:00Z",
  complaintFeedbackType: "abuse",
  complainedRecipients: [{ emailAddress: "ops@example.com" }],
};

describe("an event of SES", () => {
  it("of a bounce tells of which alert it is, and what the other side said", () => {
    expect(readFeedback({ eventType: "Bounce", mail, bounce })).toEqual({
      ok: true,
      value: {
        site: "site-1.a_b",
        id: "web01.HTTP-1_x",
        messageId: "0100018c-ses",
        returned: {
          at: Date.parse("2026-11-25T10:00:00.123Z"),
          kind: "bounce",
          contact: "ops@example.com",
          reply: "Permanent General: 5.1.1: smtp; 550 5.1.1 no such user",
          permanent: true,
        },
      },
    });
  });

  it("of a bounce that may pass does not say that the next mail will bounce too", () => {
    const full = { ...bounce, bounceType: "Transient", bounceSubType: "MailboxFull" };
    const reading = readFeedback({ eventType: "Bounce", mail, bounce: full });
    expect(reading).toMatchObject({ ok: true, value: { returned: { kind: "bounce" } } });
    expect(JSON.stringify(reading)).not.toContain("permanent");
  });

  it("of a delay tells that the mail is late, and why", () => {
    const deliveryDelay = {
      timestamp: "2026-11-25T10:15:00Z",
      delayType: "TransientCommunicationFailure",
      expirationTime: "2026-11-26T00:15:00Z",
      delayedRecipients: [
        { emailAddress: "ops@example.com", status: "4.4.1", diagnosticCode: "smtp; 421 4.4.1 no answer" },
      ],
    };
    expect(readFeedback({ eventType: "DeliveryDelay", mail, deliveryDelay })).toMatchObject({
      ok: true,
      value: {
        returned: {
          kind: "delay",
          contact: "ops@example.com",
          reply: "TransientCommunicationFailure: 4.4.1: smtp; 421 4.4.1 no answer",
        },
      },
    });
  });

  it("of a complaint tells what kind it is", () => {
    expect(readFeedback({ eventType: "Complaint", mail, complaint })).toMatchObject({
      ok: true,
      value: { returned: { kind: "complaint", contact: "ops@example.com", reply: "abuse" } },
    });
  });

  it("of a virus that SES found tells whose mail it was", () => {
    expect(readFeedback({ eventType: "Reject", mail, reject: { reason: "Bad content" } })).toMatchObject({
      ok: true,
      value: {
        returned: {
          at: Date.parse("2026-11-25T09:59:58Z"),
          kind: "reject",
          contact: "ops@example.com",
          reply: "Bad content",
        },
      },
    });
  });

  it.each([
    ["another type", { eventType: "Delivery", mail }, "eventType"],
    [
      "no tag of ours",
      { eventType: "Bounce", mail: { ...mail, tags: {} }, bounce },
      "mail.tags.hardstate-alert",
    ],
    ["no time", { eventType: "Bounce", mail, bounce: { ...bounce, timestamp: "soon" } }, "bounce.timestamp"],
    [
      "no recipient",
      { eventType: "Bounce", mail, bounce: { ...bounce, bouncedRecipients: [] } },
      "bounce.bouncedRecipients",
    ],
    ["nothing at all", undefined, ""],
  ])("with %s is not taken, and the field is named", (_, input, field) => {
    const reading = readFeedback(input);
    expect(reading).toMatchObject({ ok: false, faults: [{ field: expect.stringContaining(field) }] });
  });
});

it("a tag's value has no character that SES refuses, whatever site and id are", () => {
  expect(tagOf({ site: "a.b_c-d".repeat(9), id: "x.y".repeat(21) }).Value).toMatch(/^[A-Za-z0-9_-]{1,255}$/);
});
