import * as v from "valibot";
import { type Aliases, type AllowList, contactKey, resolveContact } from "../address.ts";
import { type Alert, alertEntries, cleanLine, cut, type Fault, read, readAlert } from "../alert.ts";
import { derivedId, fingerprint } from "../identity.ts";
import { isOwnObject } from "../operator/notices.ts";
import type { QueuedAlert } from "../queue/message.ts";

/**
 * The facts that intake knows besides the body: who posts, when, and whom mail may go to; and by how many
 * milliseconds the poster's clock is behind ours, if the post says when it was sent. `severalSites`: other sites may
 * post too.
 */
export type Circumstances = {
  site: string;
  now: number;
  clockBehind?: number;
  severalSites?: boolean;
  aliases: Aliases;
  allowed: AllowList;
};

const mostMailboxes = 200;

/** A contact that cannot be read is one without a mailbox: it does not stop the others. */
const contact = v.fallback(
  v.object({
    name: v.fallback(v.optional(v.string()), undefined),
    email: v.fallback(v.optional(v.string()), undefined),
  }),
  {},
);
/** The parts of a posted alert besides the alert itself. An id that cannot be read is no reason to lose the alert. */
export const postEntries = v.object(
  {
    id: v.fallback(v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{8,64}$/))), undefined),
    recipients: v.pipe(
      v.array(contact, "a list of 1-200 contacts"),
      v.minLength(1, "a list of 1-200 contacts"),
      v.maxLength(200, "a list of 1-200 contacts"),
    ),
  },
  "an object",
);

/** The posted alert, with the time of receipt if it has no readable time. */
const timed = (input: unknown, now: number): unknown =>
  typeof input !== "object" || input === null || v.is(alertEntries.time, "time" in input && input.time)
    ? input
    : { ...input, time: Math.floor(now / 1000) };

/**
 * A mailbox of a post that gets no mail, and why. `queued` is what the queue would have got, with an id of its own as
 * any other; it must not be queued, for its contact is no address that mail may go to, and may be no text at all ("").
 */
export type RejectedMailbox = { queued: QueuedAlert; faults: Fault[] };

/**
 * The mails that a post asks for: at least one alert to queue, or the faults that stop all of it. Beside either the
 * mailboxes that are rejected, which is none if the alert itself cannot be read; `alert` is there if it can.
 */
export type ReadPost = { rejected: RejectedMailbox[] } & (
  | { ok: true; value: QueuedAlert[] }
  | { ok: false; faults: Fault[]; alert?: Alert }
);

/** Advice for a contact without an address and without an alias. */
const noAddress = (source: Alert["source"]): string => {
  const remedies: Partial<Record<Alert["source"], string>> = {
    nagios:
      "in nagios.cfg set enable_environment_macros=1, or use scripts/monitors/nagios-without-environment.cfg",
    naemon: "use scripts/monitors/naemon.cfg",
    icinga2: "use scripts/monitors/icinga2.conf",
  };
  const { [source]: remedy } = remedies;
  const passed = remedy ? `: the monitor passed none. Give the contact an email, and ${remedy}` : "";
  return `an address${passed}; or name the contact in HARDSTATE_ALIASES`;
};

const ownName = ({ object }: Alert): Fault => ({
  field: object.service === null ? "object.host" : "object.service",
  expected: "another name: the bridge's own notices use this one",
});

const once = (faults: readonly Fault[]): Fault[] => [
  ...new Map(faults.map((fault) => [`${fault.field}\n${fault.expected}`, fault])).values(),
];

/**
 * Reads one posted alert and makes one queued alert for each mailbox it goes to. A mailbox that is no address, or that
 * mail may not go to, is rejected alone. Ids: the client's own or the event's; where a client's post names several
 * mailboxes, each gets the id with eight hex digits of its address.
 */
export const readPost = (
  input: unknown,
  { site, now, clockBehind, severalSites, aliases, allowed }: Circumstances,
): ReadPost => {
  const alert = readAlert(timed(input, now));
  const post = read(postEntries, input);
  const forged = alert.ok && isOwnObject(alert.value) ? [ownName(alert.value)] : [];
  const faults: Fault[] = [...(alert.ok ? forged : alert.faults), ...(post.ok ? [] : post.faults)];
  const good = new Map<string, { address: string; name?: string }>();
  const bad = new Map<string, { address: string; name?: string; faults: Fault[] }>();
  for (const [index, { name, email }] of (post.ok ? post.value.recipients : []).entries()) {
    const { addresses, rejected } = resolveContact({ name, email }, aliases, allowed);
    for (const address of addresses) good.set(contactKey(address), { address, name });
    for (const { text, expected: usual } of rejected) {
      const expected = email || !alert.ok ? usual : noAddress(alert.value.source);
      const address = cut(cleanLine(text), 320);
      const field = `recipients.${index}.email`;
      const before = bad.get(contactKey(address))?.faults ?? [];
      bad.set(contactKey(address), { address, name, faults: [...before, { field, expected }] });
    }
  }
  const told = [...faults, ...[...bad.values()].flatMap((one) => one.faults)];
  if (good.size + bad.size > mostMailboxes)
    told.push({ field: "recipients", expected: `at most ${mostMailboxes} mailboxes in all` });
  if (!alert.ok || forged.length > 0 || !post.ok || good.size + bad.size > mostMailboxes)
    return { ok: false, faults: once(told), rejected: [], ...(alert.ok && { alert: alert.value }) };

  const queuedFor = (address: string, name: string | undefined): QueuedAlert => {
    const key = contactKey(address);
    const own = post.value.id ?? derivedId(site, alert.value, key);
    const several = post.value.id !== undefined && good.size + bad.size > 1;
    const suffix = several ? `.${fingerprint("contact", key).slice(0, 8)}` : "";
    return {
      v: 1,
      id: own + suffix,
      site,
      ...(severalSites && { severalSites }),
      contact: address,
      contactName: (name && cut(cleanLine(name), 255)) || undefined,
      receivedAt: now,
      ...(clockBehind !== undefined && { clockBehind }),
      alert: alert.value,
    };
  };
  const rejected = [...bad.values()].map(({ address, name, faults }) => ({
    queued: queuedFor(address, name),
    faults,
  }));
  if (good.size === 0) return { ok: false, faults: once(told), rejected, alert: alert.value };
  const value = [...good.values()].map(({ address, name }) => queuedFor(address, name));
  return { ok: true, value, rejected };
};
