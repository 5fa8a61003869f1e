import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { onTestFinished } from "vitest";

/** A record: the preference and the exchange, as text or as labels of any bytes. */
type Mx = [preference: number, exchange: string | readonly string[]];
/** The answers of the server: records, another response code, or nothing. */
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

/** The records of each name, as a zone file has them, such as `TXT v=spf1 -all` or `MX 10 mx.example.com`. */
export type Zones = Record<string, readonly string[] | "SERVFAIL" | "REFUSED" | "silence">;

const types = { A: 1, MX: 15, TXT: 16, AAAA: 28 } as const;

const dataOf = (type: string, text: string): Buffer => {
  if (type === "A") return Buffer.from(text.split(".").map(Number));
  if (type === "AAAA") {
    const [front = "", back = ""] = text.split("::");
    const groups = (part: string) => part.split(":").filter(Boolean);
    const zeros = Array(8 - groups(front).length - groups(back).length).fill("0");
    return uint16(
      ...[...groups(front), ...zeros, ...groups(back)].map((group) => Number.parseInt(group, 16)),
    );
  }
  if (type === "TXT") {
    // A string has at most 255 bytes; a longer text is cut into several (RFC 1035 §3.3.14).
    const bytes = Buffer.from(text, "latin1");
    const parts = Array.from({ length: Math.ceil(bytes.length / 255) || 1 }, (_, index) =>
      bytes.subarray(index * 255, (index + 1) * 255),
    );
    return Buffer.concat(parts.flatMap((part) => [Buffer.from([part.length]), part]));
  }
  const [preference = "", exchange = ""] = text.split(" ");
  return Buffer.concat([uint16(Number(preference)), wire(exchange.split(".").filter(Boolean))]);
};

/** A DNS server on loopback that knows these names, and no others; a name under one of them may be empty. */
export const startNameServer = async (zones: Zones): Promise<{ port: number; close(): void }> => {
  const socket = createSocket("udp4");
  const known = Object.entries(zones).map(([name, records]) => ({ name: name.toLowerCase(), records }));
  socket.on("message", (query, from) => {
    const end = query.indexOf(0, 12) + 5;
    const question = query.subarray(12, end);
    const labels: string[] = [];
    for (let at = 12; query[at]; at += 1 + (query[at] ?? 0))
      labels.push(query.toString("latin1", at + 1, at + 1 + (query[at] ?? 0)));
    const name = labels.join(".").toLowerCase();
    const type = query.readUInt16BE(end - 4);
    const { records = [] } = known.find((one) => one.name === name) ?? {};
    if (records === "silence") return;
    const exists = known.some((one) => one.name === name || one.name.endsWith(`.${name}`));
    const code = typeof records === "string" ? codes[records] : exists ? 0 : codes.NXDOMAIN;
    const answers = (typeof records === "string" ? [] : records).flatMap((record) => {
      const [, word = "", text = ""] = /^(\w+) (.*)$/s.exec(record) ?? [];
      if (types[word as keyof typeof types] !== type) return [];
      const data = dataOf(word, text);
      return [Buffer.concat([uint16(0xc00c, type, 1, 0, 60, data.length), data])];
    });
    const header = uint16(query.readUInt16BE(0), 0x8180 | code, 1, answers.length, 0, 0);
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", () => resolve()));
  return { port: socket.address().port, close: () => void socket.close() };
};

/** A resolver that asks such a server until the test is over. */
export const resolverOfZones = async (zones: Zones): Promise<Resolver> => {
  const server = await startNameServer(zones);
  onTestFinished(() => server.close());
  const resolver = new Resolver({ timeout: 50, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  return resolver;
};
