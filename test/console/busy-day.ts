import { defaultPolicy } from "../../functions/decide/policy.ts";
import { sqliteLedger } from "../../functions/ledger/sqlite.ts";
import { rehearse } from "../../scripts/hardstate/rehearsal.ts";
import { posted } from "../world/alerts.ts";

const quarter = 900_000;
const services = ["HTTP", "Disk", "Load", "Mail queue", "Certificate", "Replication"];

/** Names and words of monitors that mean no good. */
export const hostile = {
  script: "<script>document.title='taken'</script>",
  attribute: '"><img src=x onerror=alert(1)>',
  turned: "web\u202e10\u2066db",
  long: "x".repeat(255),
  emoji: "💥".repeat(60),
  quotes: '"'.repeat(200),
};

/** Writes into a ledger what came in the day before `end` (Unix milliseconds): busy in the morning, as days are. */
export const writeBusyDay = async (path: string, end: number, site: string): Promise<void> => {
  const stage = rehearse({
    policy: defaultPolicy,
    begin: end - 96 * quarter,
    relay: (mail) => (mail.subject.includes("Certificate") ? "refused" : "accepted"),
    openLedger: () => sqliteLedger(path),
  });
  let number = 0;
  const say = (change: Record<string, unknown>) =>
    stage.post(site, {
      ...posted({
        notification: { id: String(++number), number: number },
        time: Math.floor((end - 96 * quarter) / 1000),
        problem: { id: String(number), epoch: number },
        ...change,
      }),
      recipients: [{ email: `${["ops", "dba", "night"][number % 3]}@example.com` }],
    });
  for (let step = 0; step < 94; step++) {
    await stage.passTo(end - (96 - step) * quarter);
    const busy = 1 + Math.round(3 * Math.sin((step / 96) * Math.PI) ** 4) + (step % 17 === 0 ? 2 : 0);
    for (let n = 0; n < busy; n++) {
      const object = {
        host: `web${String(1 + ((step >> 2) % 9)).padStart(2, "0")}`,
        service: services[(step + n) % 6] ?? "",
      };
      const problem = { object, state: n % 2 ? "WARNING" : "CRITICAL" };
      await say(step % 4 < 3 ? problem : { ...problem, type: "RECOVERY", state: "OK" });
    }
  }
  stage.close();
};

/** Alerts that mean no good, for one contact. */
export const hostileAlerts = (contact: string): Record<string, unknown>[] =>
  Object.entries(hostile).map(([name, text], index) => ({
    ...posted({
      id: `hostile-${name}`,
      object: { host: text, service: index % 2 ? text : null },
      state: index % 2 ? "CRITICAL" : "DOWN",
      notification: { id: String(9000 + index) },
      output: text,
    }),
    recipients: [{ email: contact }],
  }));
