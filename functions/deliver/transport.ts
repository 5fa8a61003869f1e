import type { Mail } from "./mail.ts";
import type { DeliveryOutcome } from "./outcome.ts";

/**
 * Hands over one mail. Never rejects for what a relay does; ends soon after `signal` aborts. `loggedIn` may be called
 * once the relay has taken our login, and is followed by `contentBegins` when the content is about to leave.
 */
export type Transport = {
  /** Names the route in the journal, without credentials. */
  route: string;
  send(
    mail: Mail,
    signal: AbortSignal,
    loggedIn?: () => void,
    contentBegins?: () => void,
  ): Promise<DeliveryOutcome>;
  /** Whether a mail would be taken up to its envelope: undefined if so, else what is in the way. */
  probe?(signal: AbortSignal): Promise<DeliveryOutcome | undefined>;
};
