import { appendFileSync, chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bridgeSettings,
  commandLines,
  installShim,
  type Lab,
  mailsIn,
  openLab,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

/** Shorter than the bridge's own waits, which are minutes. */
const waits = { HARDSTATE_PAIR_RECOVERY: "15s", HARDSTATE_HOST_COVER: "10s", HARDSTATE_FLAP_HOLD: "30s" };
const pairRecoverySeconds = 15;
/** For a mail that waits for no timer. */
const promptly = 30;
/** For one that does. */
const afterTimer = (seconds: number) => seconds + 30;

/** A Nagios of its own state folder, whose name is the monitor's. */
type Monitor = {
  nagios(verb: string, ...words: string[]): Promise<string>;
  set(object: string, state: string, text?: string): Promise<string>;
  /** Lines for Nagios's command file, in one write. */
  tell(...lines: string[]): void;
};
/** Subject without the object, and the row: "PROBLEM CRITICAL (R1)". */
type Told = Record<string, unknown[]>;
type Stage = {
  monitors: Monitor[];
  /** Lets the notifications of app01's services go. */
  openGate(): void;
  /** The alerts of an object that the bridge took, by how their type and state begin. */
  taken(object: string, news: string): Record<string, unknown>[];
  /** Waits until the bridge has taken `count` of them. */
  takes(object: string, news: string, count: number): Promise<void>;
  /** The same, and each one's story is over. */
  ends(object: string, news: string, count: number): Promise<void>;
  /** The mails of each contact about an object, in order. */
  told(object: string): Promise<Told>;
  /** Waits for exactly these mails about an object; `nothingElse` holds it to them later. */
  expectMails(object: string, expected: Told, seconds?: number): Promise<void>;
  /** The mails of the whole run, and the end of every alert's story. */
  nothingElse(): Promise<void>;
  /** When the relay had the latest mail about an object, and why it was sent. */
  latest(object: string): Promise<{ at: number; reason: string }>;
};

const both = (...lines: unknown[]): Told => ({ oncall: lines, dba: lines });

/**
 * One object for each story. Only web01/Link can flap: it has passive checks, one HARD state each. Notifications
 * of app01's services wait at a gate, and its host is the matter of oncall alone. app01/Batch has one
 * attempt: Nagios 4.4 sends no recovery of a service with more that went bad while its host was down.
 */
const objects = (lateCommand: string): string => `
  define command {
      command_name  notify-late
      command_line  ${lateCommand}
  }
  ${["oncall", "dba"]
    .map(
      (name) => `define contact {
      contact_name                   ${name}-late
      email                          ${name}@example.com
      host_notification_period       always
      service_notification_period    always
      host_notification_options      n
      service_notification_options   w,u,c,r,f,s
      host_notification_commands     notify-host
      service_notification_commands  notify-late
  }`,
    )
    .join("\n")}
  define service {
      name                    story
      register                0
      check_command           read_state!$HOSTNAME$_$SERVICEDESC$
      check_interval          1
      retry_interval          1
      max_check_attempts      2
      notification_interval   0
      notification_options    w,u,c,r,f,s
      check_period            always
      notification_period     always
      flap_detection_enabled  0
      contacts                oncall,dba
  }
  ${["Login", "Latency", "Backup", "Certificate", "Database", "Report", "Blip"]
    .map((name) => `define service {\n use story\n host_name web01\n service_description ${name}\n }`)
    .join("\n")}
  define service {
      use                  story
      host_name            web01
      service_description  Orders
      contacts             oncall
  }
  define serviceescalation {
      host_name              web01
      service_description    Orders
      contacts               dba
      first_notification     2
      last_notification      0
      notification_interval  0
  }
  define service {
      use                     story
      host_name               web01
      service_description     Link
      active_checks_enabled   0
      max_check_attempts      1
      flap_detection_enabled  1
      low_flap_threshold      20
      high_flap_threshold     25
  }
  define host {
      host_name               app01
      check_command           read_state!app01
      check_interval          1
      retry_interval          1
      max_check_attempts      2
      notification_interval   0
      notification_options    d,u,r,f,s
      check_period            always
      notification_period     always
      flap_detection_enabled  0
      contacts                oncall
  }
  ${["Web", "Queue", "Batch"]
    .map(
      (name) => `define service {
      use                 story
      host_name           app01
      service_description ${name}
      contacts            oncall-late,dba-late
      ${name === "Batch" ? "max_check_attempts 1" : ""}
  }`,
    )
    .join("\n")}
`;

/** Postfix, the bridge, and a Nagios of each name with a shim of its own; all post for one site. */
const raise = async (lab: Lab, port: number, names: readonly string[]): Promise<Stage> => {
  const relay = await startRelay(lab);
  const settings = bridgeSettings(lab, relay, port);
  Object.assign(settings.environment, waits);
  const bridge = await startBridge(lab, settings);

  const [late, gate] = [join(lab.folder, "late"), join(lab.folder, "gate")];
  writeFileSync(late, `#!/bin/sh\nuntil [ -e ${gate} ]; do sleep 0.1; done\nexec "$@"\n`);
  chmodSync(late, 0o755);
  const raiseMonitor = async (name: string): Promise<Monitor> => {
    const folder = join(lab.folder, name);
    mkdirSync(folder);
    const shim = await installShim({ ...lab, folder }, bridge.url, settings.token, "nagios");
    const { host, service } = commandLines("scripts/monitors/nagios.cfg", shim);
    const named = (line: string) => line.replace("-m monitor1", `-m ${name}`);
    const definitions = join(folder, "stories.cfg");
    writeFileSync(
      definitions,
      objects(named(service).replace(`${shim.command} -m`, `${late} ${shim.command} -m`)),
    );
    const nagios = (verb: string, ...words: string[]) => lab.script("nagios", verb, "-s", folder, ...words);
    lab.onStop(() => nagios("stop"));
    await nagios("start", "-S", named(service), "-H", named(host), "-F", "-t", "60", "-x", definitions);
    return {
      nagios,
      set: (object, state, text = `${state} - set by hand`) => nagios("set", object, state, text),
      tell: (...lines) =>
        appendFileSync(
          join(folder, "nagios/rw/nagios.cmd"),
          lines.map((line) => `[${Math.floor(Date.now() / 1000)}] ${line}\n`).join(""),
        ),
    };
  };
  const monitors = await Promise.all(names.map(raiseMonitor));

  const mails = async () =>
    (await mailsIn(relay.maildir)).map(({ to, subject, headers }) => {
      const header = (name: string) => headers.find(({ key }) => key === name)?.value ?? "";
      const reason = header("x-hardstate-reason");
      return {
        contact: to?.[0]?.address?.replace("@example.com", "") ?? "",
        object: header("x-hardstate-object"),
        subject: subject ?? "",
        row: reason.split(" ")[0],
        reason,
        at: Date.parse(header("received").split(";").at(-1) ?? ""),
      };
    });
  lab.onStop(async () => {
    if (!process.env.TABLE_REPORT) return;
    const lines = (await mails()).map(({ contact, subject, row }) => `${contact}: ${subject} (${row})\n`);
    appendFileSync(process.env.TABLE_REPORT, `monitors ${names.join(", ")}\n${lines.join("")}\n`);
  });

  const told = async (object: string): Promise<Told> => {
    const mine = (await mails()).filter((mail) => mail.object === object);
    const line = ({ subject, row }: { subject: string; row?: string }) =>
      `${subject.slice(1).replace(`] ${object}`, "")} (${row})`;
    return Object.fromEntries(
      [...Map.groupBy(mine, ({ contact }) => contact)].map(([contact, list]) => [contact, list.map(line)]),
    );
  };
  const taken = (object: string, news: string) =>
    bridge
      .events()
      .filter(
        (event) =>
          event.event === "accepted" &&
          event.object === object &&
          `${event.type} ${event.state}`.startsWith(news),
      );
  const takes = (object: string, news: string, count: number) =>
    until(`${count} times ${news} of ${object} taken`, promptly, () => taken(object, news).length === count);
  const pending = () => {
    const events = bridge.events();
    const ended = new Set(events.filter(({ event }) => event === "ended").map(({ id }) => id));
    return events.filter(({ event, id }) => event === "accepted" && !ended.has(id));
  };
  const expectations = new Map<string, Told>();
  return {
    monitors,
    openGate: () => writeFileSync(gate, ""),
    taken,
    takes,
    ends: async (object, news, count) => {
      await takes(object, news, count);
      const ids = taken(object, news).map(({ id }) => id);
      await until(
        `${news} of ${object} decided`,
        promptly,
        () => !pending().some(({ id }) => ids.includes(id)),
      );
    },
    told,
    expectMails: async (object, expected, seconds = promptly) => {
      expectations.set(object, expected);
      await expect.poll(() => told(object), { timeout: seconds * 1000, interval: 200 }).toEqual(expected);
    },
    nothingElse: async () => {
      await until("every alert has an ending", afterTimer(120), () => pending().length === 0);
      const everything = [
        ...new Set([...expectations.keys(), ...(await mails()).map(({ object }) => object)]),
      ];
      const all = await Promise.all(everything.map(async (object) => [object, await told(object)]));
      expect(Object.fromEntries(all)).toEqual(Object.fromEntries(expectations));
    },
    latest: async (object) => {
      const mail = (await mails()).findLast((one) => one.object === object);
      return { at: mail?.at ?? 0, reason: mail?.reason ?? "" };
    },
  };
};

let lab: Lab;
let stage: Stage;

describe("one Nagios", () => {
  let nagios: Monitor;
  beforeAll(async () => {
    lab = openLab();
    stage = await raise(lab, 18_793, ["A"]);
    [nagios] = stage.monitors as [Monitor];
  });
  afterAll(() => lab?.stop());

  it("mails the beginning and the end of a flapping that starts within a problem", async () => {
    const result = (code: number) => `PROCESS_SERVICE_CHECK_RESULT;web01;Link;${code};result ${code}`;
    nagios.tell(result(2));
    await stage.expectMails("web01/Link", both("PROBLEM CRITICAL (R1)"));
    nagios.tell(...[1, 2, 1, 2].map(result));
    // The fifth change in a row is a flapping; the four before were news of a problem.
    await stage.takes("web01/Link", "PROBLEM", 8);
    await stage.expectMails("web01/Link", both("PROBLEM CRITICAL (R1)", "FLAPPINGSTART CRITICAL (R36)"));
    nagios.tell(...Array.from({ length: 22 }, () => result(0)));
    await stage.expectMails(
      "web01/Link",
      both("PROBLEM CRITICAL (R1)", "FLAPPINGSTART CRITICAL (R36)", "FLAPPINGSTOP OK (R36)"),
    );
  });

  it("escalates a problem that got worse, and only the second level hears of its end", async () => {
    await nagios.set("web01/Orders", "WARNING");
    await stage.expectMails("web01/Orders", { oncall: ["PROBLEM WARNING (R1)"] });
    await nagios.set("web01/Orders", "CRITICAL");
    await stage.expectMails("web01/Orders", {
      oncall: ["PROBLEM WARNING (R1)"],
      dba: ["ESCALATION CRITICAL (R7)"],
    });
    await nagios.set("web01/Orders", "OK");
    await stage.expectMails("web01/Orders", {
      oncall: ["PROBLEM WARNING (R1)"],
      dba: ["ESCALATION CRITICAL (R7)", "RECOVERY OK (R20)"],
    });
    expect(stage.taken("web01/Orders", "RECOVERY").map(({ contact }) => contact)).toEqual([
      "dba@example.com",
    ]);
  });

  it("mails a problem, its acknowledgement and its recovery", async () => {
    await nagios.set("web01/Login", "CRITICAL");
    await stage.expectMails("web01/Login", both("PROBLEM CRITICAL (R1)"));
    await nagios.nagios("ack", "web01/Login");
    await stage.expectMails("web01/Login", both("PROBLEM CRITICAL (R1)", "ACKNOWLEDGEMENT CRITICAL (R33)"));
    await nagios.set("web01/Login", "OK");
    await stage.expectMails(
      "web01/Login",
      both("PROBLEM CRITICAL (R1)", "ACKNOWLEDGEMENT CRITICAL (R33)", "RECOVERY OK (R20)"),
    );
  });

  it("mails WARNING that becomes CRITICAL, and nothing when it goes back and up again", async () => {
    const object = "web01/Latency";
    await nagios.set(object, "WARNING");
    await stage.expectMails(object, both("PROBLEM WARNING (R1)"));
    await nagios.set(object, "CRITICAL");
    await stage.expectMails(object, both("PROBLEM WARNING (R1)", "UPDATE CRITICAL (R5)"));
    await nagios.set(object, "WARNING");
    await stage.ends(object, "PROBLEM WARNING", 4);
    await nagios.set(object, "CRITICAL");
    await stage.ends(object, "PROBLEM CRITICAL", 4);
    await nagios.set(object, "OK");
    await stage.expectMails(
      object,
      both("PROBLEM WARNING (R1)", "UPDATE CRITICAL (R5)", "RECOVERY OK (R20)"),
    );
  });

  it("mails a downtime, and not the problem within it", async () => {
    await nagios.nagios("downtime", "web01/Backup", "12");
    await stage.expectMails("web01/Backup", both("DOWNTIMESTART OK (R35)"));
    await nagios.set("web01/Backup", "CRITICAL");
    await nagios.nagios("wait", "SERVICE ALERT: web01;Backup;CRITICAL;HARD");
    await nagios.set("web01/Backup", "OK");
    await nagios.nagios("wait", "SERVICE ALERT: web01;Backup;OK;HARD");
    await stage.expectMails("web01/Backup", both("DOWNTIMESTART OK (R35)", "DOWNTIMEEND OK (R35)"));
  });

  it("mails what somebody sends by hand", async () => {
    await nagios.nagios("notify", "web01/Certificate");
    await stage.expectMails("web01/Certificate", both("CUSTOM OK (R32)"));
  });

  it("lets a host's mail stand for its services, and mails what is still bad after the host is up", async () => {
    // Nagios sends nothing of a service once its host is HARD down. A covered alert was on its way before: each
    // contact has a process of its own, and the services' are held up until the host was mailed.
    for (const name of ["Web", "Queue"]) {
      await nagios.set(`app01/${name}`, "CRITICAL");
      await nagios.nagios("wait", `SERVICE NOTIFICATION: dba-late;app01;${name};CRITICAL;`);
      await nagios.nagios("wait", `SERVICE NOTIFICATION: oncall-late;app01;${name};CRITICAL;`);
    }
    await nagios.set("app01", "DOWN");
    await stage.expectMails("app01", { oncall: ["PROBLEM DOWN (R1)"] });
    stage.openGate();
    // Nobody told dba of the host.
    await stage.expectMails("app01/Web", { dba: ["PROBLEM CRITICAL (R17)"] });
    await stage.expectMails("app01/Queue", { dba: ["PROBLEM CRITICAL (R17)"] });
    await stage.takes("app01/Web", "PROBLEM", 2);
    await stage.takes("app01/Queue", "PROBLEM", 2);

    await nagios.set("app01/Batch", "CRITICAL");
    await nagios.nagios("wait", "SERVICE ALERT: app01;Batch;CRITICAL;HARD");
    expect(stage.taken("app01/Batch", "")).toEqual([]);

    await nagios.set("app01", "UP");
    await stage.expectMails("app01", { oncall: ["PROBLEM DOWN (R1)", "RECOVERY UP (R20)"] });
    await nagios.set("app01/Queue", "OK");
    await stage.expectMails("app01/Queue", { dba: ["PROBLEM CRITICAL (R17)", "RECOVERY OK (R20)"] });
    // Nagios speaks of it now, and its process may be quicker than that of the host's recovery.
    const batch = expect.stringMatching(/^PROBLEM CRITICAL \((R1|R17|R18)\)$/);
    await stage.expectMails("app01/Batch", both(batch), afterTimer(10));
    await nagios.set("app01/Batch", "OK");
    await stage.expectMails("app01/Batch", both(batch, "RECOVERY OK (R20)"));

    // Nagios does not mention it again.
    await stage.expectMails(
      "app01/Web",
      { oncall: ["PROBLEM CRITICAL (R18)"], dba: ["PROBLEM CRITICAL (R17)"] },
      afterTimer(10),
    );
    expect(stage.taken("app01/Web", "PROBLEM")).toHaveLength(2);
    await nagios.set("app01/Web", "OK");
    await stage.expectMails("app01/Web", {
      oncall: ["PROBLEM CRITICAL (R18)", "RECOVERY OK (R20)"],
      dba: ["PROBLEM CRITICAL (R17)", "RECOVERY OK (R20)"],
    });
  });

  it("mails the recovery that Nagios owes the first level of an escalation", async () => {
    await stage.expectMails(
      "web01/Orders",
      {
        oncall: ["PROBLEM WARNING (R1)", "RECOVERY OK (R27)"],
        dba: ["ESCALATION CRITICAL (R7)", "RECOVERY OK (R20)"],
      },
      afterTimer(60),
    );
  });

  it("mails the recovery that Nagios does not send when a flapping stops", async () => {
    await stage.expectMails(
      "web01/Link",
      both(
        "PROBLEM CRITICAL (R1)",
        "FLAPPINGSTART CRITICAL (R36)",
        "FLAPPINGSTOP OK (R36)",
        "RECOVERY OK (R37)",
      ),
      afterTimer(60),
    );
    expect(stage.taken("web01/Link", "RECOVERY")).toEqual([]);
  });

  it("mails a running problem once though Nagios lost its memory, and its recovery", async () => {
    await nagios.set("web01/Database", "CRITICAL");
    await stage.expectMails("web01/Database", both("PROBLEM CRITICAL (R1)"));
    await nagios.nagios("stop");
    rmSync(join(lab.folder, "A/nagios/var/retention.dat"));
    await nagios.nagios("restart");
    await stage.ends("web01/Database", "PROBLEM", 4);
    await stage.expectMails("web01/Database", both("PROBLEM CRITICAL (R1)"));
    await nagios.set("web01/Database", "OK");
    await stage.expectMails("web01/Database", both("PROBLEM CRITICAL (R1)", "RECOVERY OK (R20)"));
  });

  it("mailed nothing else", () => stage.nothingElse());
});

describe("two Nagios that watch the same", () => {
  let a: Monitor;
  let b: Monitor;
  beforeAll(async () => {
    lab = openLab();
    stage = await raise(lab, 18_774, ["A", "B"]);
    stage.openGate();
    [a, b] = stage.monitors as [Monitor, Monitor];
  });
  afterAll(() => lab?.stop());

  const seenByBoth = async (object: string) => {
    await a.set(object, "CRITICAL");
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)"));
    await b.set(object, "CRITICAL");
    await stage.ends(object, "PROBLEM", 4);
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)"));
  };

  it("make no mail of a recovery that one of them saw, until the pair's time is over", async () => {
    await seenByBoth("web01/Report");
    await a.set("web01/Report", "OK");
    await stage.takes("web01/Report", "RECOVERY", 2);
    // The mail is looked for below, when the other stories are told.
  });

  it("make one mail of a problem, of an acknowledgement and of a recovery, when both said it is over", async () => {
    const object = "web01/Login";
    await seenByBoth(object);
    await Promise.all([a, b].map(({ nagios }) => nagios("ack", object)));
    await stage.ends(object, "ACKNOWLEDGEMENT", 4);
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)", "ACKNOWLEDGEMENT CRITICAL (R33)"));
    await a.set(object, "OK");
    await stage.takes(object, "RECOVERY", 2);
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)", "ACKNOWLEDGEMENT CRITICAL (R33)"));
    await b.set(object, "OK");
    await stage.expectMails(
      object,
      both("PROBLEM CRITICAL (R1)", "ACKNOWLEDGEMENT CRITICAL (R33)", "RECOVERY OK (R23)"),
    );
  });

  it("make nothing of a problem that comes back to one of them while the other still sees it", async () => {
    const object = "web01/Database";
    await seenByBoth(object);
    await a.set(object, "OK");
    await stage.takes(object, "RECOVERY", 2);
    await a.set(object, "CRITICAL");
    await stage.ends(object, "PROBLEM", 6);
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)"));
    await b.set(object, "OK");
    await stage.takes(object, "RECOVERY", 4);
    await a.set(object, "OK");
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)", "RECOVERY OK (R23)"));
  });

  it("make two outages of what the one sees when the other has seen its end", async () => {
    const object = "web01/Blip";
    await a.set(object, "CRITICAL");
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)"));
    await a.set(object, "OK");
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)", "RECOVERY OK (R20)"));
    await b.set(object, "CRITICAL");
    const first = ["PROBLEM CRITICAL (R1)", "RECOVERY OK (R20)"];
    await stage.expectMails(object, both(...first, "PROBLEM CRITICAL (R1)"));
    await b.set(object, "OK");
    await stage.expectMails(object, both(...first, ...first));
  });

  it("let a host's mail of one stand for what the other says of its service", async () => {
    await a.set("app01", "DOWN");
    await stage.expectMails("app01", { oncall: ["PROBLEM DOWN (R1)"] });
    await b.set("app01/Web", "CRITICAL");
    await stage.takes("app01/Web", "PROBLEM", 2);
    await stage.expectMails("app01/Web", { dba: ["PROBLEM CRITICAL (R17)"] });
    await b.set("app01/Web", "OK");
    await stage.ends("app01/Web", "RECOVERY", 2);
    await a.set("app01", "UP");
    await stage.expectMails("app01", { oncall: ["PROBLEM DOWN (R1)", "RECOVERY UP (R20)"] });
    await stage.expectMails("app01/Web", { dba: ["PROBLEM CRITICAL (R17)", "RECOVERY OK (R20)"] });
  });

  it("make a mail of a recovery that the other never confirms, and it says who still complains", async () => {
    const object = "web01/Report";
    await stage.expectMails(
      object,
      both("PROBLEM CRITICAL (R1)", "RECOVERY OK (R24)"),
      afterTimer(pairRecoverySeconds),
    );
    const [recovery] = stage.taken(object, "RECOVERY");
    const { at, reason } = await stage.latest(object);
    // The relay writes whole seconds.
    expect(at - Date.parse(String(recovery?.at))).toBeGreaterThan((pairRecoverySeconds - 1) * 1000);
    expect(reason).toMatch(/\bB\b/);
    await b.set(object, "OK");
    await stage.ends(object, "RECOVERY", 4);
    await stage.expectMails(object, both("PROBLEM CRITICAL (R1)", "RECOVERY OK (R24)"));
  });

  it("make no other mail", () => stage.nothingElse());
});
