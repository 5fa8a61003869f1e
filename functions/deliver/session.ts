import type { Step, Tls } from "./outcome.ts";
import type { Mechanism } from "./relay-url.ts";

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

/**
 * Follows a session: `reached` is called at each step, and `heard` for each command and reply. `passed` is called
 * when an address is found, when the connection is made, and after the handshake of TLS from the start.
 */
export type SessionObserver = {
  reached?(step: Step): void;
  heard?(line: Line): void;
  passed?(point: "dns" | "connect" | "tls", address: string): void;
};

/** Sender and recipient of a mail. Where DSN is offered, a report about the mail repeats `id` (ENVID). */
export type SentEnvelope = { from: string; to: string; id?: string };

/** A session after EHLO, and after STARTTLS if the relay is configured with it. */
export type SmtpSession = {
  host: string;
  /** Undefined without TLS. */
  tls(): Tls | undefined;
  /** The last announcement of EHLO, without the greeting line. */
  extensions(): string[];
  /** The first of the configured mechanisms that the relay offers. */
  mechanism(): Mechanism | undefined;
  /** Does nothing if the relay is configured without credentials. */
  authenticate(signal: AbortSignal): Promise<void>;
  /** One command as it is; resolves to the whole reply. Refuses control characters. */
  command(line: string, signal: AbortSignal): Promise<string>;
  /**
   * Resolves to the reply to the final dot. With `oneByOne` each command waits for the reply to the one before it, so that
   * a silence tells its step. `contentBegins` is called when the content is about to leave.
   */
  submit(
    envelope: SentEnvelope,
    bytes: Buffer,
    signal: AbortSignal,
    options?: { oneByOne?: boolean; contentBegins?: () => void },
  ): Promise<string>;
  reset(signal: AbortSignal): Promise<void>;
  /** Whether it is open and every command has its reply. */
  inStep(): boolean;
  /** Whether another mail may follow: in step, within the relay's LIMITS, and fewer than two mails in a row refused. */
  usable(): boolean;
  whenOver(tell: () => void): void;
  quit(): void;
  close(): void;
};
