import { formOf } from "../api/body.ts";
import type { App } from "../api/queries.ts";
import { answer, onlyMethod } from "../api/refusals.ts";
import type { ReturnAnswer } from "../api/shapes.ts";
import { operatorSite } from "../identity.ts";
import type { JournalRecord } from "../ledger/journal.ts";
import { noteReturned, type ReturnParts } from "../operator/returned.ts";
import { readReport } from "./delivery-report.ts";
import type { Doors } from "./doors.ts";

/** A report is no longer than a mail of ours and what a server says about it. */
export const mostReportBytes = 1024 * 1024;

/** Reports in one alert's story: a sender that knows a Message-ID may send reports without end. */
const mostOfMail = 20;

/** Whether a token of this site may report this alert's mail. The operators' own site may report all. */
const mayTell = (site: string, record: JournalRecord): boolean =>
  site === operatorSite || site === record.site;

/**
 * Takes a mail that came to the bounce address, and notes in the story of the mail it returns what it says about that
 * mail's contact. Anybody can write such a mail. It counts only if it has the name of a mail of ours, which nobody else
 * knows, and names that mail's contact. If it came to the mail's own reverse-path, it may name another address, to which
 * the mail was forwarded. Everything else is ignored and changes nothing.
 */
export const takeReport = async (
  parts: ReturnParts,
  site: string,
  mail: string,
  to?: string,
): Promise<ReturnAnswer> => {
  const { ledger, clock, report } = parts;
  const ignored = (reason: string): ReturnAnswer => {
    report({ event: "return-ignored", site, reason });
    return { status: "ignored", reason };
  };
  const read = readReport(mail, to);
  if (!read) return ignored("it is not a non-delivery report");
  let known = false;
  for (const name of new Set([...read.sentTo, ...read.returned])) {
    const found = await ledger.mailed(name);
    if (!found || !mayTell(site, found)) continue;
    known = true;
    const said = read.about(found.contact) ?? (read.sentTo.includes(name) ? read.about() : undefined);
    if (!said) continue;
    const { id, contact } = found;
    const about = { site: found.site, id, contact, ...said };
    const before = (await ledger.story(found.site, id))?.returned ?? [];
    if (before.some(({ kind, reply }) => kind === said.kind && reply === said.reply))
      return { status: "known", ...about };
    if (before.length >= mostOfMail)
      return ignored(`the story of that mail already has ${mostOfMail} reports`);
    await noteReturned(parts, found, { at: clock(), contact, ...said });
    return { status: "noted", ...about };
  }
  return ignored(
    known
      ? "it does not say that the mail to its contact failed or is late"
      : `it returns no mail that ${site === operatorSite ? "the bridge" : `site ${site}`} sent`,
  );
};

/** Adds POST /v1/returns, which takes a report of undelivered mail as message/rfc822. */
export const addReturns = (app: App, doors: Doors): void => {
  const { refusals } = doors;
  app.post("/v1/returns", async (c) => {
    const site = c.get("site");
    if (formOf(c) !== "message/rfc822") {
      const expected = "message/rfc822, not compressed";
      const faults = [{ field: "Content-Type", expected }];
      return refusals.refuse("not-supported", `Send ${expected}.`, { site, faults });
    }
    const take = async () => answer(await takeReport(doors, site, await c.req.text()));
    return refusals.orUnavailable("queue or ledger", take);
  });
  app.all("/v1/returns", onlyMethod("POST"));
};
