import type { PlayedMail } from "../scenarios/scenarios.ts";
import { type Real, severityOf } from "./cores.ts";
import type { History, Post } from "./history.ts";

/** A post as one mailbox has it. */
export type Posted = Post & {
  to: string[];
  real: Real;
  /** The alerts that really are one outage, and those that no posted value tells apart from one. */
  outage: number;
  taken: number;
};

/** A mail, and the post that it tells. */
export type Told = PlayedMail & { post: Posted };

/** All that is known of one mailbox and one object when a question is asked about them. */
export type Case = {
  history: History;
  mailbox: string;
  object: string;
  isPair: boolean;
  /** About the object and about its host, to all mailboxes, in the order of arrival. */
  all: Posted[];
  hostPosts: Posted[];
  /** The same to this mailbox. */
  mine: Posted[];
  /** The mails to this mailbox about this object, and about its host, that are of a post. */
  mails: Told[];
  hostMails: Told[];
  /** Outages (as `taken`) that may have been taken for one that the contact knows. */
  joined: Set<number>;
};

export const isProblem = ({ kind }: PlayedMail): boolean =>
  ["PROBLEM", "UPDATE", "ESCALATION", "REMINDER"].includes(kind);
export const isReport = ({ notice }: Posted): boolean => notice.type === "PROBLEM";
export const isEnd = ({ notice }: Posted): boolean => notice.type === "RECOVERY";
export const severity = ({ notice }: Posted): number => severityOf[notice.state];
export const isOfOneMonitor = (a: Posted, b: Posted): boolean => a.notice.monitor === b.notice.monitor;
export const isNumbered = ({ notice }: Posted): boolean => typeof notice.macros.nid === "number";

/** The promises of docs/settings.md and docs/nagios.md §5.1 promise, in seconds. */
export const settings = {
  flapHoldSeconds: 30,
  pairLateSeconds: 120,
  hostCoverSeconds: 300,
  longestCoverSeconds: 3600,
  pairRecoverySeconds: 600,
  restartGraceSeconds: 900,
  fanoutSeconds: 60,
  longestLateSeconds: 300,
};

/** Whether something of the same monitor that says that `p` is over came before `p`: its end, or a newer problem. */
export const isOverBefore = ({ all }: Case, p: Posted): boolean =>
  all.some(
    (other) =>
      other.t < p.t &&
      isOfOneMonitor(other, p) &&
      other.notice.issued > p.notice.issued &&
      (isEnd(other) || (isReport(other) && other.real.id !== p.real.id)),
  );

/** The first report of its end. */
export const endOf = ({ all }: Case, p: Posted): Posted | undefined =>
  all.find((other) => isEnd(other) && other.real.id === p.real.id);

/** The first post by which its monitor says that it is over: its end or a newer problem. */
export const overBy = ({ all }: Case, p: Posted): Posted | undefined =>
  all.find(
    (other) =>
      isOfOneMonitor(other, p) &&
      (other.real.id === p.real.id ? isEnd(other) : other.real.begin > p.real.begin),
  );

/** Whether that came by then. */
export const isPostedEnd = (c: Case, p: Posted, by: number): boolean => {
  const over = overBy(c, p);
  return over !== undefined && over.t <= by;
};

/** Whether the relay took no mail at some time between. */
export const relayIsAway = ({ history }: Case, from: number, to = from): boolean =>
  history.relayAway.some((away) => away.from <= to && from <= away.to);

/** When the relay is back, if it is away at that time; else that time. */
export const relayIsBack = ({ history }: Case, at: number): number =>
  history.relayAway.find(({ from, to }) => from <= at && at <= to)?.to ?? at;
