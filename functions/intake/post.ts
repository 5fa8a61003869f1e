import * as v from "valibot";
import { type Aliases, type AllowList, contactKey, resolveContact } from "../address.ts";
import { type Alert, cleanLine, cut, type Fault, type Reading, read, readAlert } from "../alert.ts";
import { digest, eventKey } from "../identity.ts";
import type { QueuedAlert } from "../queue/queue.ts";

/** What intake knows besides the body: who posts, when, and whom mail may go to. */
export type Circumstances = { site: string; now: number; aliases: Aliases; allowed: AllowList };

const mostMailboxes = 200;

const contact = v.object(
  { name: v.optional(v.string("text")), email: v.optional(v.string("text")) },
  "an object with name or email",
);
/** What a posted alert has besides the alert itself. */
export const postEntries = v.object(
  {
    id: v.optional(
      v.pipe(
        v.string("8-64 letters, digits, . _ -"),
        v.regex(/^[A-Za-z0-9._-]{8,64}$/, "8-64 letters, digits, . _ -"),
      ),
    ),
    recipients: v.pipe(
      v.array(contact, "a list of 1-200 contacts"),
      v.minLength(1, "a list of 1-200 contacts"),
      v.maxLength(200, "a list of 1-200 contacts"),
    ),
  },
  "an object",
);

const queuedAlert = (
  alert: Alert,
  address: string,
  name: string | undefined,
  id: string,
  { site, now }: Circumstances,
): QueuedAlert => ({
  v: 1,
  id,
  site,
  contact: address,
  contactName: (name && cut(cleanLine(name), 255)) || undefined,
  receivedAt: now,
  alert,
});

/**
 * Reads one posted alert and makes one queued alert for each mailbox it goes to, or tells every fault. Ids: the
 * client's own or the event's; with several mailboxes each gets the id with eight hex digits of its address.
 */
export const readPost = (input: unknown, circumstances: Circumstances): Reading<QueuedAlert[]> => {
  const { site, aliases, allowed } = circumstances;
  const alert = readAlert(input);
  const post = read(postEntries, input);
  const faults: Fault[] = [...(alert.ok ? [] : alert.faults), ...(post.ok ? [] : post.faults)];
  const mailboxes = new Map<string, { address: string; name?: string }>();
  for (const [index, recipient] of (post.ok ? post.value.recipients : []).entries()) {
    const addresses = resolveContact(recipient, aliases, allowed);
    if (addresses.ok)
      for (const address of addresses.value)
        mailboxes.set(contactKey(address), { address, name: recipient.name });
    else
      for (const fault of addresses.faults)
        faults.push({ ...fault, field: `recipients.${index}.${fault.field}` });
  }
  if (mailboxes.size > mostMailboxes)
    faults.push({ field: "recipients", expected: `at most ${mostMailboxes} mailboxes in all` });
  if (!alert.ok || !post.ok || faults.length > 0) {
    const told = new Map(faults.map((fault) => [`${fault.field}\n${fault.expected}`, fault]));
    return { ok: false, faults: [...told.values()] };
  }
  const { id } = post.value;
  return {
    ok: true,
    value: [...mailboxes].map(([key, { address, name }]) => {
      const own = id ?? eventKey(site, alert.value, key).slice(0, 32);
      const suffix = id !== undefined && mailboxes.size > 1 ? `.${digest("contact", key).slice(0, 8)}` : "";
      return queuedAlert(alert.value, address, name, own + suffix, circumstances);
    }),
  };
};
