import type { Step } from "./outcome.ts";

/** An error of a session: in which step, and what the relay said, if it said anything. */
export class SessionError extends Error {
  readonly step: Step;
  readonly code?: number;
  constructor(step: Step, reply: string, code?: number) {
    super(reply);
    this.step = step;
    this.code = code;
  }
}

/** One line of a session as it may be shown: credentials are redacted. */
export type Line = { from: "client" | "relay"; text: string };

/** Follows a session: its steps, its lines, and the points of connecting; `tls` is one with TLS from the start. */
export type SessionObserver = {
  reached?(step: Step): void;
  heard?(line: Line): void;
  passed?(point: "dns" | "connect" | "tls", address: string): void;
};
