import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { onTestFinished } from "vitest";

/** A record: the preference and the exchange, as text or as labels of any bytes. */
type Mx = [preference: number, exchange: string | readonly string[]];
/** What the server answers: records, another response code, or nothing. */
export type Zone = readonly Mx[] | "SERVFAIL" | "NXDOMAIN" | "REFUSED" | "silence";

const codes = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
const uint16 = (...numbers: number[]) => Buffer.from(numbers.flatMap((n) => [n >> 8, n & 0xff]));
const wire = (labels: readonly string[]) =>
  Buffer.concat([
    ...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1")),
    Buffer.alloc(1),
  ]);

/** A resolver of MX records that asks a DNS server on loopback, which answers every question with `zone`. */
export const resolverOf = async (zone: Zone): Promise<Resolver> => {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    if (zone === "silence") return;
    // RFC 1035 §4: the header, the question as it came, and records whose owner points to it.
    const question = query.subarray(12, query.indexOf(0, 12) + 5);
    const records = typeof zone === "string" ? [] : zone;
    const answers = records.map(([preference, exchange]) => {
      const labels = typeof exchange === "string" ? exchange.split(".").filter(Boolean) : exchange;
      const data = Buffer.concat([uint16(preference), wire(labels)]);
      return Buffer.concat([uint16(0xc00c, 15, 1, 0, 60, data.length), data]);
    });
    const flags = 0x8180 | (typeof zone === "string" ? codes[zone] : 0);
    const header = uint16(query.readUInt16BE(0), flags, 1, answers.length, 0, 0);
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", () => resolve()));
  onTestFinished(() => void socket.close());
  const resolver = new Resolver({ timeout: 50, tries: 1 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return resolver;
};
