import type { JournalRecord } from "../ledger/journal.ts";
import { operatorSite } from "../operator.ts";
import { noteReturned, type ReturnParts } from "../returned.ts";
import type { ReturnAnswer } from "./answers.ts";
import { readReport } from "./report.ts";

/** A report is no longer than a mail of ours and what a server says of it. */
export const mostReportBytes = 1024 * 1024;

/** How much one alert's story has of what came back: whoever knows a Message-ID may send reports without end. */
const mostOfMail = 20;

/** Whether a token of a site may tell of this alert's mail; one of the operators' own site may of all. */
const mayTell = (site: string, record: JournalRecord): boolean =>
  site === operatorSite || site === record.site;

/**
 * Takes a mail that came to the address that bounces go to, and notes in the story of the mail that it returns what it
 * says of the story's contact. Anybody can write such a mail: it is believed if it has the name of a mail of ours, which
 * nobody else knows, and the name's own contact; one sent to the mail's own reverse-path may name another address, where
 * a forwarder sent the mail. Whatever else comes is ignored, and changes nothing.
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
  if (!read) return ignored("it is no non-delivery report");
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
    if (before.length >= mostOfMail) return ignored("that mail's story has enough of what came back");
    await noteReturned(parts, found, { at: clock(), contact, ...said });
    return { status: "noted", ...about };
  }
  return ignored(
    known
      ? "it does not say that the mail to its contact failed or is late"
      : `it returns no mail that ${site === operatorSite ? "the bridge" : `site ${site}`} sent`,
  );
};
