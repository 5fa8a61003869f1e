import { contactKey } from "../address.ts";
import type { Mail } from "../compose/mail.ts";
import type { DeliveryOutcome } from "./delivery.ts";

/** A mail that takes longer is slow, and so is the address whose last mail did. */
export const slowMilliseconds = 2_000;
/** After so many failures in a row at RCPT an address is held. */
const failuresThatHold = 3;
/** So many addresses are remembered; the one that had no mail for the longest time is forgotten first. */
const mostAddresses = 1000;

/** Whether an attempt failed because of its recipient. A route that refuses us or asks for a slower pace says nothing of it. */
const failedForRecipient = (outcome: DeliveryOutcome): boolean => {
  if (outcome.result === "accepted") return false;
  if (outcome.result === "refused") return outcome.about === "recipient";
  if (outcome.step !== "recipient") return false;
  return outcome.result === "deferred" ? !outcome.tooFast && !outcome.quota : outcome.unclear === true;
};

type InLine = { site: string; party: string; mail: Mail; turn(): void };

/**
 * The places on one route, one for each connection. A free place goes to the site that has the fewest, then to
 * the one whose last turn is longest ago; within a site by turns among its contacts. Three rules limit who may take one:
 * - Until a mail has shown that our login is taken there is one place: else a wrong password would be tried on all
 *   connections at once, and accounts are locked for less.
 * - A site that has a place takes the last free one only for an address that took its last mail quickly. So a
 *   site whose mails hang leaves one for the others.
 * - A site without a place is given that of a slow mail of a site that has several. Nothing of that mail's content has
 *   left, so it can be tried again later, and counts as a failure of its address.
 * - All addresses that failed three times in a row at RCPT are held: they share one place. A mail that is accepted
 *   frees its address.
 *
 * All this is known to one process: workers on Lambda, and runs on Cloudflare, each have their own.
 */
export const places = (
  connections: number,
  clock: () => number,
  pause: (milliseconds: number) => Promise<unknown>,
) => {
  /** In the order in which they took their places. `give` ends an attempt that is slow since then. */
  const inPlace = new Map<Mail, { since: number; give?: () => void }>();
  /** By site and party. A party that had its turn goes to the end. */
  const line = new Map<string, Map<string, Set<InLine>>>();
  const lastTurns = new Map<string, number>();
  const addresses = new Map<string, { quick: boolean; failures: number }>();
  let proven = false;

  const known = ({ envelope }: Mail) => addresses.get(contactKey(envelope.to));
  const isHeld = (mail: Mail) => (known(mail)?.failures ?? 0) >= failuresThatHold;
  const placesOf = (site: string) => [...inPlace.keys()].filter(({ alert }) => alert.site === site).length;
  const mayTake = (mail: Mail): boolean => {
    const free = (proven ? connections : 1) - inPlace.size;
    if (free < 1 || (isHeld(mail) && [...inPlace.keys()].some(isHeld))) return false;
    return free > 1 || known(mail)?.quick === true || placesOf(mail.alert.site) === 0;
  };

  let turns = 0;
  const enter = (mail: Mail) => {
    inPlace.set(mail, { since: clock() });
    lastTurns.set(mail.alert.site, ++turns);
  };
  const stand = (one: InLine) => {
    const parties = line.get(one.site) ?? new Map<string, Set<InLine>>();
    line.set(one.site, parties);
    parties.set(one.party, (parties.get(one.party) ?? new Set()).add(one));
  };
  const stepOut = (one: InLine) => {
    const parties = line.get(one.site);
    const mails = parties?.get(one.party);
    if (!parties || !mails?.delete(one)) return;
    parties.delete(one.party);
    if (mails.size > 0) parties.set(one.party, mails);
    if (parties.size === 0) line.delete(one.site);
  };
  const next = (): InLine | undefined => {
    const sites = [...line].map(([site, parties]) => ({
      parties,
      taken: placesOf(site),
      lastTurn: lastTurns.get(site) ?? 0,
    }));
    for (const { parties } of sites.sort((a, b) => a.taken - b.taken || a.lastTurn - b.lastTurn))
      for (const [first] of parties.values()) if (first && mayTake(first.mail)) return first;
    return undefined;
  };
  const admit = () => {
    for (let one = next(); one; one = next()) {
      stepOut(one);
      enter(one.mail);
      one.turn();
    }
  };

  /** Makes room for a site in line that has no place. */
  const makeRoom = () => {
    if ([...line.keys()].every((site) => placesOf(site) > 0)) return;
    const isSlow = ([mail, { since, give }]: [Mail, { since: number; give?: () => void }]) =>
      give && clock() - since >= slowMilliseconds && placesOf(mail.alert.site) > 1;
    const [slow] = [...inPlace].filter(isSlow);
    if (slow) slow[1].give?.();
  };

  return {
    /** Whether a mail would have a place at once: nobody who may take it stands in line. */
    unattended: mayTake,
    /** Resolves to true when the mail has its place, which `leave` gives up; to false if `signal` aborts before. */
    take: (mail: Mail, signal: AbortSignal): Promise<boolean> => {
      if (mayTake(mail)) {
        enter(mail);
        return Promise.resolve(true);
      }
      if (signal.aborted) return Promise.resolve(false);
      return new Promise((resolve) => {
        const turn = () => {
          signal.removeEventListener("abort", giveUp);
          resolve(true);
        };
        // The held addresses of a site are one party: each good contact has as many turns as all of them.
        const party = isHeld(mail) ? "" : contactKey(mail.envelope.to);
        const one = { site: mail.alert.site, party, mail, turn };
        const giveUp = () => {
          stepOut(one);
          resolve(false);
        };
        stand(one);
        makeRoom();
        pause(slowMilliseconds).then(makeRoom);
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
    /** From now on a mail may be made to give its place by `give`; without it no more, as its content leaves. */
    mayGive: (mail: Mail, give?: () => void) => {
      if (inPlace.has(mail)) inPlace.set(mail, { since: clock(), give });
    },
    /** What a mail has shown of the route: those in line may come if it works. */
    show: (works: boolean) => {
      proven = works;
      admit();
    },
    /** What an attempt has shown of its address. */
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
    leave: (mail: Mail) => {
      inPlace.delete(mail);
      admit();
    },
  };
};
