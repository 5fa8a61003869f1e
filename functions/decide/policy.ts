import type { Rate } from "../time.ts";

/** The settings that change rows of docs/decision-table.md. Times are seconds. */
export type Policy = {
  /** R4: a reminder when this time has gone by and Nagios repeats the problem; undefined: never. */
  renotifyAfterSeconds?: number;
  /** R5: whether a problem that got worse is mailed. */
  worsening: boolean;
  /** R10: how long after a monitor's start a problem that it forgot may come back as a new one. */
  restartGraceSeconds: number;
  /** R14: how long after a closure the other monitor may report the same blip, and is waited for. */
  pairLateSeconds: number;
  /** R16, R18: how long after its host is up a covered service is waited for; undefined: hosts cover nothing. */
  hostCoverSeconds?: number;
  /** R22, R24: how long a recovery waits for the monitors that still report the problem; 0: not at all. */
  pairRecoverySeconds: number;
  /** R26: whether a recovery of something unknown is mailed. */
  orphanRecovery: boolean;
  /** R27: how long a recovery that Nagios may not send to those of an escalated problem is waited for. */
  fanoutSeconds: number;
  /** R29: how long a problem that the relay did not take waits for its recovery, and both are dropped. */
  flapHoldSeconds: number;
  /** R33, R35, R36: within what time two monitors mean the same. */
  announcementWindowSeconds: number;
  /** R37: how long after the end of flapping in a good state a recovery is waited for. */
  flapSettleSeconds: number;
  /** R46: how many mails about states go to a contact one by one, before a digest tells the rest; undefined: all. */
  burst?: Rate;
  /** R46: how many notes of each type (custom, acknowledged, flapping) go to a contact as single mails. */
  noteBurst: Rate;
  /** R39: how long a notification without its texts waits for the one that has them. */
  degradedHoldSeconds: number;
};

/** The defaults of docs/nagios.md §5.1. */
export const defaultPolicy: Policy = {
  worsening: true,
  restartGraceSeconds: 900,
  pairLateSeconds: 120,
  hostCoverSeconds: 300,
  pairRecoverySeconds: 600,
  orphanRecovery: false,
  fanoutSeconds: 60,
  flapHoldSeconds: 30,
  announcementWindowSeconds: 120,
  flapSettleSeconds: 60,
  degradedHoldSeconds: 5,
  burst: { most: 20, milliseconds: 60_000 },
  // One in ten seconds, for ten minutes. No person writes so fast, but a script does.
  noteBurst: { most: 60, milliseconds: 600_000 },
};
