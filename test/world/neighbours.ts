import { chownSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { posted } from "./alerts.ts";
import { type Lab, setPostfix } from "./lab.ts";

/**
 * The act of a lab's Postfix by the recipient's name: `gone-` has no mailbox, `slow-` is answered after 1 s, `stuck-`
 * and `dot-` hang for minutes, at RCPT and after the content. Mail for `b-` lands in a maildir of its own.
 */
const postfixSettings = [
  "relay_domains = example.com",
  "relay_recipient_maps = regexp:{ { /^(a|b|slow|stuck|dot|admin)/ yes } }",
  "smtpd_recipient_restrictions = check_recipient_access regexp:{ { /^slow-/ sleep 1 }, { /^stuck-/ sleep 300 } }",
  "smtpd_end_of_data_restrictions = check_recipient_access regexp:{ { /^dot-/ sleep 300 } }",
  "virtual_mailbox_maps = regexp:{ { /^b-/ mail-b/ } }, static:mail/",
];

/** Makes a lab's relay one that can be flooded; resolves to the maildir of B. */
export const prepareRelay = async (on: Lab): Promise<string> => {
  const relay = join(on.folder, "relay");
  const { uid, gid } = statSync(join(relay, "mail"));
  for (const folder of ["mail-b", "mail-b/new", "mail-b/cur", "mail-b/tmp"]) {
    mkdirSync(join(relay, folder));
    chownSync(join(relay, folder), uid, gid);
  }
  await setPostfix(on, ...postfixSettings);
  return join(relay, "mail-b/new");
};

/** An alert of a flood: its kind, its object's service, and the mailboxes. */
export const alertOf = (
  type: "PROBLEM" | "CUSTOM",
  service: string,
  number: number,
  emails: readonly string[],
  change: Record<string, unknown> = {},
) =>
  posted({
    type,
    object: { host: "farm01", service },
    time: Math.floor(Date.now() / 1000),
    problem: { id: String(number), epoch: 99_990 },
    notification: { id: String(number), number: 1 },
    recipients: emails.map((email) => ({ email })),
    ...change,
  });

export type Poster = (alerts: readonly unknown[]) => Promise<{ status: number; text: string }>;

/** Posts as a site. */
export const posterFor =
  (url: string, token: string): Poster =>
  async (alerts) => {
    const answer = await fetch(`${url}/v1/alerts`, {
      method: "POST",
      body: JSON.stringify(alerts.length === 1 ? alerts[0] : alerts),
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(60_000),
    });
    return { status: answer.status, text: await answer.text() };
  };

/** Posts so many alerts, `batch` in each post, until all are taken or one post is not; resolves to how many were. */
export const flood = async (
  post: Poster,
  count: number,
  alert: (index: number) => unknown,
  batch = 100,
): Promise<number> => {
  for (let begin = 0; begin < count; begin += batch) {
    const alerts = Array.from({ length: Math.min(batch, count - begin) }, (_, n) => alert(begin + n));
    const { status } = await post(alerts);
    if (status !== 202) return begin;
  }
  return count;
};

/** When each mail to `b-NUMBER@` was first put in the maildir, Unix milliseconds. */
export const arrivalsOf = (maildir: string): Map<number, number> => {
  const came = new Map<number, number>();
  for (const name of readdirSync(maildir)) {
    const file = join(maildir, name);
    const [, number] = /^Delivered-To: b-(\d+)@/m.exec(readFileSync(file, "latin1")) ?? [];
    const at = statSync(file).ctimeMs;
    came.set(Number(number), Math.min(at, came.get(Number(number)) ?? at));
  }
  return came;
};
