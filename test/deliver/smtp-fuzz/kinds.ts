import type { Place } from "./play.ts";

type Kind = {
  about: string;
  /** The ways to misbehave and where; everywhere if no places are given. */
  ways: string[];
  places?: Place[];
  /** In so large a share of replies. */
  rate: number;
  /** The share of replies that come in parts. */
  splits?: number;
  /** The share of moments at which a session is idle, or content on its way, and the relay does something unasked. */
  unasked?: number;
  mails: [least: number, most: number];
  /** With credentials. */
  login?: boolean;
};

const transaction: Place[] = ["MAIL", "RCPT", "DATA", "dot"];

/** Ways in which relays are wrong, or right in a way that is hard to read. */
export const kinds: Record<string, Kind> = {
  friendly: {
    about: "All is well, and comes in one part or several.",
    ways: [],
    rate: 0,
    splits: 0.3,
    mails: [1, 4],
  },
  split: {
    about: "Right replies, split at every byte.",
    ways: ["long", "code"],
    rate: 0.05,
    splits: 1,
    mails: [1, 2],
  },
  bytes: { about: "Random bytes at any step.", ways: ["bytes"], rate: 0.15, splits: 0.2, mails: [1, 3] },
  endless: { about: "Lines and replies without an end.", ways: ["endless"], rate: 0.15, mails: [1, 2] },
  codes: {
    about: "Wrong codes, and codes that disagree.",
    ways: ["code", "disagree", "refused"],
    rate: 0.2,
    splits: 0.1,
    mails: [1, 3],
  },
  refusals: {
    about: "Refusals in a transaction, in sessions that go on.",
    ways: ["refused", "refused", "refused, then close"],
    places: [...transaction, "RSET"],
    rate: 0.2,
    mails: [2, 4],
  },
  controls: {
    about: "Control bytes, 8-bit bytes and odd line ends.",
    ways: ["controls", "line ends", "malformed"],
    rate: 0.2,
    splits: 0.2,
    mails: [1, 2],
  },
  early: {
    about: "Replies before their command.",
    ways: ["early", "both ways"],
    rate: 0.15,
    splits: 0.2,
    mails: [1, 3],
  },
  surplus: {
    about: "Replies that nobody asked for.",
    ways: ["surplus"],
    rate: 0.15,
    unasked: 0.1,
    mails: [1, 4],
  },
  missing: { about: "Replies that do not come.", ways: ["missing", "late by one"], rate: 0.1, mails: [1, 3] },
  cut: {
    about: "The connection ends at any byte.",
    ways: ["cut"],
    rate: 0.15,
    splits: 0.3,
    unasked: 0.05,
    mails: [1, 3],
  },
  abort: {
    about: "The attempt's time is over at any moment.",
    ways: ["abort"],
    rate: 0.12,
    splits: 0.2,
    mails: [1, 4],
  },
  login: {
    about: "Challenges and refusals in AUTH.",
    ways: ["challenge", "challenge", "echo", "code", "malformed", "refused", "early"],
    places: ["AUTH", "SASL"],
    rate: 0.6,
    splits: 0.1,
    mails: [1, 2],
    login: true,
  },
  ehlo: {
    about: "Extensions by the thousand, and absurd ones.",
    ways: ["ehlo"],
    places: ["EHLO"],
    rate: 1,
    splits: 0.05,
    mails: [1, 4],
  },
  transaction: {
    about: "Anything within a transaction.",
    ways: [
      "bytes",
      "code",
      "refused",
      "refused",
      "disagree",
      "early",
      "surplus",
      "both ways",
      "cut",
      "missing",
      "malformed",
      "late by one",
    ],
    places: transaction,
    rate: 0.25,
    splits: 0.1,
    unasked: 0.05,
    mails: [1, 4],
  },
  sessions: {
    about: "Idle sessions that change.",
    ways: ["refused", "surplus"],
    rate: 0.03,
    unasked: 0.5,
    mails: [2, 4],
  },
  starttls: {
    about: "The way to TLS, attacked.",
    ways: [
      "bytes",
      "code",
      "refused",
      "early",
      "surplus",
      "malformed",
      "cut",
      "ehlo",
      "missing",
      "both ways",
    ],
    places: ["greeting", "EHLO", "STARTTLS"],
    rate: 0.4,
    splits: 0.2,
    mails: [1, 2],
    login: true,
  },
  mixed: {
    about: "All of it.",
    ways: [
      "bytes",
      "code",
      "refused",
      "disagree",
      "malformed",
      "controls",
      "line ends",
      "long",
      "endless",
      "early",
      "surplus",
      "both ways",
      "missing",
      "late by one",
      "cut",
      "abort",
      "ehlo",
      "challenge",
      "echo",
    ],
    rate: 0.12,
    splits: 0.15,
    unasked: 0.1,
    mails: [1, 4],
  },
};
