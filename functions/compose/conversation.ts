import { fingerprint } from "../identity.ts";

const filetimeOf = (milliseconds: number): bigint => (BigInt(milliseconds) + 11_644_473_600_000n) * 10_000n;

/**
 * The headers by which Outlook joins mails: one topic, and an index with one GUID (MS-OXOMSG 2.2.1.3). The index begins
 * with the time of the conversation, of which it has the upper 40 bits. Later mails have one response level: how long
 * after that they were sent, in units of 2^18 * 100 ns, without its upper bits after 1.7 years.
 */
export const outlookHeaders = (
  thread: string,
  topic: string,
  begun: number,
  sent: number | undefined,
): Record<string, string> => {
  const index = Buffer.alloc(sent === undefined ? 22 : 27);
  index.writeUInt8(1);
  index.writeUIntBE(Number(filetimeOf(begun) >> 24n), 1, 5);
  index.write(fingerprint("outlook", thread).slice(0, 32), 6, "hex");
  if (sent !== undefined) {
    const later = BigInt(Math.max(0, sent - begun)) * 10_000n;
    index.writeUInt32BE(Number((later >> 18n) & 0x7fff_ffffn), 22);
  }
  return { "Thread-Topic": topic, "Thread-Index": index.toString("base64") };
};
