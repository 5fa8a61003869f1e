import { contactKey } from "../address.ts";
import type { Mail } from "./mail.ts";
import { type DeliveryOutcome, failedForRecipient } from "./outcome.ts";

/** A mail that takes longer is slow. An address whose last mail was accepted within this time is quick. */
export const slowMilliseconds = 2_000;
/** So often a mail that may give its connection is looked for. */
const watchMilliseconds = 250;
/** An address with so many failures in a row at RCPT is failing. */
const leastFailures = 3;
/** So many addresses are remembered. The one whose last mail is oldest is forgotten first. */
const mostAddresses = 1000;

/** Mails of one site with the same `party` share the turns of one contact. */
type WaitingMail = { site: string; party: string; mail: Mail; start(): void };

/**
 * Shares the connections of one route. A free one goes to the site that has the fewest, then to the site whose last turn is
 * longest ago. Within a site contacts take turns. These rules limit which mail may take a connection:
 * - Until a mail has shown that the relay accepts our login, there is only one. Otherwise a wrong password would be tried
 *   on all connections at once, and may lock the account.
 * - Mails to addresses that are not quick have all connections but one. A site without a connection may take that too. So
 *   a site whose mails hang leaves one for others, and for its own quick addresses.
 * - A site without a connection is given that of a slow mail of a site that has several. Nothing of that mail's content
 *   has left, so it can be tried again later. It counts as a failure of its address.
 * - All failing addresses share one connection. An accepted mail ends that for its address.
 *
 * Each process has its own: one for each worker on Lambda and for each run on Cloudflare.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: one state, and the five steps that change it.
export const routeConnections = (
  connections: number,
  clock: () => number,
  pause: (milliseconds: number) => Promise<unknown>,
) => {
  /** The mails that have a connection, in their order. `give` ends an attempt that is under way since then. */
  const connected = new Map<Mail, { since: number; give?: () => void }>();
  /** By site and party. A party that had its turn goes to the end. */
  const waiting = new Map<string, Map<string, Set<WaitingMail>>>();
  const lastTurns = new Map<string, number>();
  const addresses = new Map<string, { quick: boolean; failures: number }>();
  let proven = false;

  const known = ({ envelope }: Mail) => addresses.get(contactKey(envelope.to));
  const isFailing = (mail: Mail) => (known(mail)?.failures ?? 0) >= leastFailures;
  const isQuick = (mail: Mail) => known(mail)?.quick === true;
  const isNotQuick = (mail: Mail) => !isQuick(mail);
  const connectionsOf = (site: string) =>
    [...connected.keys()].filter(({ alert }) => alert.site === site).length;
  const mayTake = (mail: Mail): boolean => {
    const [all, mails] = [proven ? connections : 1, [...connected.keys()]];
    if (mails.length >= all || (isFailing(mail) && mails.some(isFailing))) return false;
    return isQuick(mail) || mails.filter(isNotQuick).length < all - 1 || connectionsOf(mail.alert.site) === 0;
  };

  let turns = 0;
  const connect = (mail: Mail) => {
    connected.set(mail, { since: clock() });
    lastTurns.set(mail.alert.site, ++turns);
  };
  const addWaiting = (one: WaitingMail) => {
    const parties = waiting.get(one.site) ?? new Map<string, Set<WaitingMail>>();
    waiting.set(one.site, parties);
    parties.set(one.party, (parties.get(one.party) ?? new Set()).add(one));
  };
  const removeWaiting = (one: WaitingMail) => {
    const parties = waiting.get(one.site);
    const mails = parties?.get(one.party);
    if (!parties || !mails?.delete(one)) return;
    parties.delete(one.party);
    if (mails.size > 0) parties.set(one.party, mails);
    if (parties.size === 0) waiting.delete(one.site);
  };
  const next = (): WaitingMail | undefined => {
    const sites = [...waiting].map(([site, parties]) => ({
      parties,
      taken: connectionsOf(site),
      lastTurn: lastTurns.get(site) ?? 0,
    }));
    for (const { parties } of sites.sort((a, b) => a.taken - b.taken || a.lastTurn - b.lastTurn))
      for (const [first] of parties.values()) if (first && mayTake(first.mail)) return first;
    return undefined;
  };
  const admit = () => {
    for (let one = next(); one; one = next()) {
      removeWaiting(one);
      connect(one.mail);
      one.start();
    }
  };

  let watching = false;
  /** Frees a connection for a waiting site that has none, and looks again while there is such a site. */
  const makeRoom = () => {
    if ([...waiting.keys()].every((site) => connectionsOf(site) > 0)) return;
    const slow = [...connected].find(
      ([{ alert }, { since, give }]) =>
        give && clock() - since >= slowMilliseconds && connectionsOf(alert.site) > 1,
    );
    slow?.[1].give?.();
    if (watching) return;
    watching = true;
    pause(watchMilliseconds).then(() => {
      watching = false;
      makeRoom();
    });
  };

  return {
    /** Whether a mail would get a connection at once. */
    isFreeFor: mayTake,
    /** Resolves to true when the mail has a connection, until `release`; to false if `signal` aborts before. */
    take: (mail: Mail, signal: AbortSignal): Promise<boolean> => {
      if (mayTake(mail)) {
        connect(mail);
        return Promise.resolve(true);
      }
      if (signal.aborted) return Promise.resolve(false);
      return new Promise((resolve) => {
        const start = () => {
          signal.removeEventListener("abort", giveUp);
          resolve(true);
        };
        // All failing addresses of a site together get as many turns as one good contact.
        const party = isFailing(mail) ? "" : contactKey(mail.envelope.to);
        const one = { site: mail.alert.site, party, mail, start };
        const giveUp = () => {
          removeWaiting(one);
          resolve(false);
        };
        addWaiting(one);
        makeRoom();
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
    /** From now on `give` ends the attempt of a mail; without it nothing does, because its content leaves. */
    mayGive: (mail: Mail, give?: () => void) => {
      if (connected.has(mail)) connected.set(mail, { since: clock(), give });
    },
    /** Whether the last mail has shown that the route works. If so, waiting mails get their connections. */
    show: (works: boolean) => {
      proven = works;
      admit();
    },
    /** Remembers how an attempt to an address ended. */
    learn: (mail: Mail, outcome: DeliveryOutcome) => {
      const accepted = outcome.result === "accepted";
      const failed = failedForRecipient(outcome);
      const quick = accepted && outcome.durationMilliseconds <= slowMilliseconds;
      const failures = accepted ? 0 : (known(mail)?.failures ?? 0) + Number(failed);
      const key = contactKey(mail.envelope.to);
      addresses.delete(key);
      addresses.set(key, { quick, failures });
      const [oldest] = addresses.keys();
      if (addresses.size > mostAddresses && oldest !== undefined) addresses.delete(oldest);
    },
    /** Gives the connection of a mail to the next one. */
    release: (mail: Mail) => {
      connected.delete(mail);
      admit();
    },
  };
};
