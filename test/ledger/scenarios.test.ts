import { describe, expect, it } from "vitest";
import type { RelayAnswer } from "../../scripts/hardstate/rehearsal.ts";
import { world } from "../world/world.ts";

/** One post: at which second, from which monitor, for whom, and what differs from a first HARD CRITICAL. */
type Post = {
  at: number;
  nid: number;
  mon?: string;
  to?: string;
  host?: true;
  type?: string;
  state?: string;
  ep?: number;
  esc?: boolean;
  vol?: boolean;
  num?: number;
  degraded?: true;
  /** From here on the relay answers so. */
  relay?: RelayAnswer;
};

/** The mails that posts make until `until`, as "second KIND STATE contact". */
const mailsOf = async (posts: readonly Post[], until: number): Promise<string[]> => {
  const { bridge, mails, passTo, post, relay } = world({ begin: 100_000_000 });
  try {
    for (const [index, one] of posts.entries()) {
      await passTo(one.at);
      if (one.relay) relay(one.relay);
      const type = one.type ?? "PROBLEM";
      const [good, bad] = one.host ? ["UP", "DOWN"] : ["OK", "CRITICAL"];
      await post({
        id: `post-number-${index}`,
        monitor: { id: one.mon ?? "A", start: one.mon === "B" ? 2000 : 1000 },
        type,
        object: { host: "web1", service: one.host ? null : "http" },
        state: one.state ?? (type === "RECOVERY" ? good : bad),
        problem: { epoch: one.ep ?? (one.mon === "B" ? 99_991 : 99_990) },
        notification: {
          id: String(one.nid),
          number: one.num ?? 1,
          escalated: one.esc,
          volatile: one.vol,
        },
        degraded: one.degraded,
        recipients: [{ email: `${one.to ?? "alice"}@example.com` }],
      });
    }
    await passTo(until);
  } finally {
    bridge.close();
  }
  return mails.map(({ at, subject, to }) => {
    const [, what = "", object = ""] = /^\[(\S+ \S+)\] (.*)$/.exec(subject) ?? [];
    return `${Math.floor(at)} ${what} ${object} ${to.split("@")[0]}`;
  });
};

const recovery = "RECOVERY";
const day = 86_400;

describe("stories that once went wrong", () => {
  it.each<[string, Post[], number, string[]]>([
    [
      "a held problem does not give way to another monitor's, which may be over (R8, R29)",
      [
        { at: 0, nid: 1, relay: "deferred" },
        { at: 10, nid: 1, mon: "B" },
        { at: 35, nid: 2, mon: "B", type: recovery, relay: "accepted" },
      ],
      500,
      ["90 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "of two covered problems the later in the monitor's order is told, whichever came first (R18)",
      [
        { at: 0, nid: 15, host: true },
        { at: 10, nid: 12, num: 2 },
        { at: 11, nid: 11, state: "WARNING" },
        { at: 600, nid: 20, host: true, type: recovery },
      ],
      2000,
      ["0 PROBLEM DOWN web1 alice", "600 RECOVERY UP web1 alice", "900 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "a host covers news of its services alone, and no worsening (R5, R16)",
      [
        { at: 0, nid: 1, state: "WARNING" },
        { at: 10, nid: 5, host: true },
        { at: 20, nid: 6, num: 2 },
        { at: 30, nid: 7, num: 3, state: "WARNING" },
        { at: 600, nid: 20, host: true, type: recovery },
      ],
      2000,
      [
        "0 PROBLEM WARNING web1/http alice",
        "10 PROBLEM DOWN web1 alice",
        "20 UPDATE CRITICAL web1/http alice",
        "600 RECOVERY UP web1 alice",
      ],
    ],
    [
      "a recovery that Nagios does send an escalated contact goes out at once, and once (R20, R27)",
      [
        { at: 0, nid: 1 },
        { at: 100, nid: 2, num: 2, esc: true, to: "boss" },
        { at: 200, nid: 3, type: recovery },
        { at: 202, nid: 3, type: recovery, to: "boss" },
      ],
      2000,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "100 ESCALATION CRITICAL web1/http boss",
        "200 RECOVERY OK web1/http alice",
        "202 RECOVERY OK web1/http boss",
      ],
    ],
    [
      "one notification run 25 times under as many ids is one mail (R0)",
      Array.from({ length: 25 }, (_, n) => ({ at: n, nid: 1, type: "CUSTOM" })),
      100,
      ["0 CUSTOM CRITICAL web1/http alice"],
    ],
    [
      "a recovery after 31 days without a word is told (R44, R20)",
      [
        { at: 0, nid: 1 },
        { at: 31 * day, nid: 2, type: recovery },
      ],
      32 * day,
      ["0 PROBLEM CRITICAL web1/http alice", `${31 * day} RECOVERY OK web1/http alice`],
    ],
    [
      "a host covers its service for an hour, for the host's end may never be posted (R16, R18)",
      [
        { at: 0, nid: 2, host: true },
        { at: 10, nid: 1 },
      ],
      40 * day,
      ["0 PROBLEM DOWN web1 alice", "3610 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "each contact is told of the end that their own monitor saw (R20)",
      [
        { at: 0, nid: 1 },
        { at: 5, nid: 1, mon: "B", to: "bob" },
        { at: 100, nid: 2, type: recovery },
        { at: 2000, nid: 3, ep: 101_990 },
        { at: 2100, nid: 4, ep: 101_990, type: recovery },
        { at: 9000, nid: 2, mon: "B", to: "bob", type: recovery },
      ],
      20_000,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "5 PROBLEM CRITICAL web1/http bob",
        "100 RECOVERY OK web1/http alice",
        "2000 PROBLEM CRITICAL web1/http alice",
        "2100 RECOVERY OK web1/http alice",
        "9000 RECOVERY OK web1/http bob",
      ],
    ],
    [
      "and is not told of the problem again (R3)",
      [
        { at: 0, nid: 1 },
        { at: 5, nid: 1, mon: "B", to: "bob" },
        { at: 100, nid: 2, type: recovery },
        { at: 2000, nid: 2, num: 2, mon: "B", to: "bob" },
      ],
      20_000,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "5 PROBLEM CRITICAL web1/http bob",
        "100 RECOVERY OK web1/http alice",
      ],
    ],
    [
      "a contact who knows of a problem whose end was lost hears of the end of the next one, though that was not mailed (R29)",
      [
        { at: 0, nid: 1 },
        { at: 500, nid: 3, ep: 100_400, relay: "deferred" },
        { at: 510, nid: 4, ep: 100_400, type: recovery, relay: "accepted" },
      ],
      2000,
      ["0 PROBLEM CRITICAL web1/http alice", "510 RECOVERY OK web1/http alice"],
    ],
    [
      "a host covers its service by the problem that this contact was told of alone (R16, R18)",
      [
        { at: 0, nid: 2, host: true },
        { at: 1, nid: 1 },
        { at: 5, nid: 4, host: true, to: "carol", ep: 99_999 },
      ],
      4000,
      ["0 PROBLEM DOWN web1 alice", "5 PROBLEM DOWN web1 carol", "301 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "a late notification of a problem before the latest is not told (R13)",
      [
        { at: 0, nid: 1, to: "carol" },
        { at: 10, nid: 4, ep: 100_005 },
        { at: 25, nid: 2, num: 2, ep: 100_001, to: "carol" },
      ],
      2000,
      ["0 PROBLEM CRITICAL web1/http carol", "10 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "a monitor that was switched off delays recoveries for a day, not for ever (R22)",
      [
        { at: 0, nid: 1 },
        { at: 5, nid: 1, mon: "B" },
        { at: 100, nid: 2, type: recovery },
        { at: 2 * day, nid: 3, ep: 300_000 },
        { at: 2 * day + 60, nid: 4, ep: 300_000, type: recovery },
      ],
      3 * day,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "700 RECOVERY OK web1/http alice",
        `${2 * day} PROBLEM CRITICAL web1/http alice`,
        `${2 * day + 60} RECOVERY OK web1/http alice`,
      ],
    ],
    [
      "an event of a volatile service that two monitors see is one mail, and the next one another (R8, R11)",
      [
        { at: 0, nid: 1, vol: true },
        { at: 3, nid: 1, mon: "B", vol: true },
        { at: 600, nid: 2, vol: true, num: 2 },
        { at: 603, nid: 2, mon: "B", vol: true, num: 2 },
      ],
      1000,
      ["0 PROBLEM CRITICAL web1/http alice", "600 PROBLEM CRITICAL web1/http alice"],
    ],
    [
      "what follows a problem that goes out behind another one waits for it: its end, and the next problem (R30)",
      [
        { at: 0, nid: 1, relay: "deferred" },
        // Its mail waits for the relay, and all that comes for this contact waits behind it.
        { at: 5, nid: 2, type: "CUSTOM" },
        { at: 10, nid: 3, type: recovery },
        { at: 15, nid: 4, ep: 100_014 },
        { at: 100, nid: 5, ep: 100_014, type: recovery },
        { at: 200, nid: 6, ep: 100_199, relay: "accepted" },
      ],
      1000,
      [
        "215 CUSTOM CRITICAL web1/http alice",
        "215 PROBLEM CRITICAL web1/http alice",
        "215 RECOVERY OK web1/http alice",
        "215 PROBLEM CRITICAL web1/http alice",
      ],
    ],
    [
      "an outage that begins and ends at both monitors while the relay is away is told once (R8)",
      [
        { at: 0, nid: 1, relay: "away" },
        { at: 5, nid: 1, mon: "B" },
        { at: 199, nid: 2, type: recovery, to: "carol" },
        { at: 200, nid: 2, type: recovery },
        { at: 205, nid: 2, mon: "B", type: recovery },
        // Somebody else's alert: the relay is back.
        { at: 600, nid: 3, to: "bob", type: "CUSTOM", relay: "accepted" },
      ],
      3000,
      [
        "720 CUSTOM CRITICAL web1/http bob",
        "725 PROBLEM CRITICAL web1/http alice",
        "725 RECOVERY OK web1/http alice",
      ],
    ],
    [
      "a new problem is news though the other monitor saw it on, if the end just now was of another one (R9, R12)",
      [
        { at: 0, nid: 1 },
        { at: 5, nid: 1, mon: "B" },
        { at: 100, nid: 2, to: "bob", type: recovery },
        { at: 2000, nid: 3, to: "bob", ep: 101_990 },
        { at: 3600, nid: 4, to: "bob", ep: 101_990, type: recovery },
        { at: 3700, nid: 5, ep: 103_690 },
      ],
      5000,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "2000 PROBLEM CRITICAL web1/http bob",
        "3600 RECOVERY OK web1/http bob",
        "3700 PROBLEM CRITICAL web1/http alice",
      ],
    ],
    [
      "a volatile event that waited for its texts is news, though the end of the outage was told meanwhile (R11, R24)",
      [
        { at: 0, nid: 1, vol: true },
        { at: 5, nid: 1, mon: "B", vol: true },
        { at: 100, nid: 2, type: recovery },
        { at: 697, nid: 2, mon: "B", vol: true, num: 2, degraded: true },
      ],
      2000,
      [
        "0 PROBLEM CRITICAL web1/http alice",
        "700 RECOVERY OK web1/http alice",
        "702 PROBLEM CRITICAL web1/http alice",
      ],
    ],
    [
      "what another monitor reports after the end is news, though the object was well there before it (R8, R9)",
      [
        { at: 0, nid: 1 },
        { at: 500, nid: 2, to: "bob", type: recovery },
        { at: 700, nid: 1, mon: "B", ep: 100_490 },
      ],
      2000,
      ["0 PROBLEM CRITICAL web1/http alice", "700 PROBLEM CRITICAL web1/http alice"],
    ],
  ])("%s", async (_, posts, until, mails) => {
    expect(await mailsOf(posts, until)).toEqual(mails);
  });
});
