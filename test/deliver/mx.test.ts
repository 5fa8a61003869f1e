import { describe, expect, test } from "vitest";
import type { SmtpRelay } from "../../functions/deliver/relay-url.ts";
import { openSession } from "../../functions/deliver/smtp-session.ts";
import { certificate } from "./certificate.ts";
import { resolverOf, type Zone } from "./name-server.ts";
import type { Script } from "./scripted-relay.ts";
import { brief, ca, mail, patient, relayAt, socketsTo, startScripted, transportTo } from "./sending.ts";

/** Where the hosts are that the records name. Nobody listens on 127.0.0.9. */
const sockets = socketsTo({
  "mx1.example.net": "127.0.0.1",
  "mx2.example.net": "127.0.0.1",
  "dead1.example.net": "127.0.0.9",
  "dead2.example.net": "127.0.0.9",
  "dead3.example.net": "127.0.0.9",
  "dead4.example.net": "127.0.0.9",
  "example.net": "127.0.0.1",
});

/** A relay whose certificate is for `name`, and how a mail to it by these MX records ends. */
const sendBy = async (
  zone: Zone,
  name = "mx1.example.net",
  {
    script,
    change,
    signal = patient(),
  }: { script?: Script; change?: Partial<SmtpRelay>; signal?: AbortSignal } = {},
) => {
  const relay = await startScripted(script, { certificate: await certificate({ ca, forName: name }) });
  const resolver = await resolverOf(zone);
  const transport = transportTo(
    relay.port,
    { mx: true, host: "example.net", ...change },
    { resolveMx: (domain) => resolver.resolveMx(domain), sockets },
  );
  return { relay, outcome: await transport.send(mail(), signal) };
};
const deferred = { result: "deferred", lostAfterData: false, step: "connect" };

describe("with mx, the mail goes to", () => {
  test("the host of the lowest preference", async () => {
    const { outcome } = await sendBy([
      [20, "dead1.example.net"],
      [5, "mx1.example.net"],
      [10, "dead2.example.net"],
    ]);
    expect(outcome).toMatchObject({ result: "accepted", tls: { subject: "mx1.example.net" } });
  });

  test("the next host where the first cannot be reached, equal preferences too", async () => {
    const { outcome } = await sendBy([
      [10, "dead1.example.net"],
      [10, "dead2.example.net"],
      [10, "mx1.example.net"],
    ]);
    expect(outcome.result).toBe("accepted");
  });

  test.for(["421 4.3.2 closing\r\n", "554 5.3.2 no service today\r\n"])(
    "the next host where the first greets with %j",
    async (greeting) => {
      let greeted = 0;
      const { relay, outcome } = await sendBy(
        [
          [10, "mx1.example.net"],
          [20, "mx1.example.net"],
        ],
        undefined,
        { script: { greeting: () => (greeted++ === 0 ? greeting : "220 relay.example\r\n") } },
      );
      expect(outcome.result).toBe("accepted");
      expect(relay.connections).toBe(2);
    },
  );

  test.for<[string, Zone]>([
    ["has no MX record", []],
    ["does not exist by DNS", "NXDOMAIN"],
  ])("the domain itself where it %s", async ([, zone]) => {
    const { outcome } = await sendBy(zone, "example.net");
    expect(outcome).toMatchObject({ result: "accepted", tls: { subject: "example.net" } });
  });

  test("four hosts at most", async () => {
    const dead = [1, 2, 3, 4].map((n): [number, string] => [n, `dead${n}.example.net`]);
    const { relay, outcome } = await sendBy([...dead, [5, "mx1.example.net"]]);
    expect(outcome).toMatchObject(deferred);
    expect(relay.connections).toBe(0);
  });
});

describe("with mx, no mail goes", () => {
  test.for<[string, Zone, words: RegExp]>([
    ["where the domain takes none", [[0, []]], /^example\.net takes no mail \(its MX record is "\."\)$/],
    ["while the server fails", "SERVFAIL", /cannot be looked up \(ESERVFAIL\)$/],
    ["while the server refuses", "REFUSED", /cannot be looked up \(EREFUSED\)$/],
    ["while the server is silent", "silence", /cannot be looked up \(ETIMEOUT\)$/],
  ])("%s: it is deferred, with words", async ([, zone, words]) => {
    const { relay, outcome } = await sendBy(zone, "example.net");
    expect(outcome).toMatchObject({ ...deferred, reply: expect.stringMatching(words) });
    expect(relay.connections).toBe(0);
  });

  test("later than the attempt may last, however slow the lookup is", async () => {
    const resolveMx = () => new Promise<never>(() => {});
    const transport = transportTo(1, { mx: true, host: "example.net" }, { resolveMx, sockets });
    expect(await transport.send(mail(), brief())).toMatchObject(deferred);
    expect(await transport.send(mail(), AbortSignal.abort())).toMatchObject(deferred);
  });

  const hostile: [string, Zone][] = [
    ["a b", [[1, ["a b", "example", "net"]]]],
    ["a line end", [[1, ["mx\r\nQUIT\r\n", "example", "net"]]]],
    ["NUL", [[1, ["mx1\0", "example", "net"]]]],
    ["a name that NUL would end", [[1, ["mx1", "example", "net\0", "evil", "net"]]]],
    ["a dot within a label", [[1, ["127.0.0.1"]]]],
    ["ESC", [[1, ["\x1b[2J", "example", "net"]]]],
    ["bytes above ASCII", [[1, ["\xff\xfe", "example", "net"]]]],
    ["an IPv4 address", [[1, "127.0.0.1"]]],
    ["an IPv4 address as resolvers read it", [[1, "127.1"]]],
    ["an IPv4 address in hexadecimal", [[1, "0x7f.0x1"]]],
    ["an IPv6 address", [[1, ["::1"]]]],
    ["one label", [[1, "localhost"]]],
    ["this machine", [[1, "localhost.localdomain"]]],
    [
      "the root, and another that is no name",
      [
        [1, []],
        [2, "1.2"],
      ],
    ],
  ];
  test.for(hostile)("to a host named with %s", async ([, zone]) => {
    const { relay, outcome } = await sendBy(zone, "mx1.example.net");
    expect(outcome).toMatchObject(deferred);
    expect(outcome.reply).toMatch(
      /^(no MX record of example\.net names a host|.*cannot be looked up \(E\w+\))$/,
    );
    expect(relay.connections).toBe(0);
  });

  test("to hosts with hostile names, but it goes to a good one beside them", async () => {
    const zone: Zone = [
      [1, "127.0.0.9"],
      [2, "localhost"],
      [3, "10.1"],
      [4, "1.1.1.1"],
      [9, "mx1.example.net"],
    ];
    expect((await sendBy(zone)).outcome.result).toBe("accepted");
  });

  test("to a host whose certificate is for the domain, not for the host", async () => {
    const { relay, outcome } = await sendBy([[1, "mx1.example.net"]], "example.net");
    expect(outcome).toMatchObject({ result: "unauthorised", step: "tls" });
    expect(relay.received()).not.toMatch(/AUTH|MAIL/);
  });

  test("to the next host where the first is not who it should be: that is for the operator", async () => {
    const { relay, outcome } = await sendBy(
      [
        [1, "mx2.example.net"],
        [2, "mx1.example.net"],
      ],
      "mx1.example.net",
    );
    expect(outcome).toMatchObject({ result: "unauthorised", step: "tls" });
    expect(relay.connections).toBe(1);
  });
});

test("a session by mx says which host it is with, and without mx none is looked up", async () => {
  const relay = await startScripted(
    {},
    { certificate: await certificate({ ca, forName: "mx1.example.net" }) },
  );
  const at = (
    change: Partial<SmtpRelay>,
    resolveMx: () => Promise<{ exchange: string; priority: number }[]>,
  ) => openSession(relayAt(relay.port, change), { resolveMx, sockets }, patient());
  const byMx = await at({ mx: true, host: "example.net" }, async () => [
    { exchange: "mx1.example.net", priority: 1 },
  ]);
  const direct = await at({ host: "mx1.example.net" }, () => Promise.reject(new Error("looked up")));
  expect([byMx.host, direct.host]).toEqual(["mx1.example.net", "mx1.example.net"]);
  for (const session of [byMx, direct]) session.close();
});
