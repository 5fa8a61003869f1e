import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../world/lab.ts";

/** Prometheus Alertmanager, mailing each alert alone and without waiting through the lab's relay. */
export type Alertmanager = {
  /** The command that posts one alert for each service, all at once. */
  post(services: readonly string[]): string[];
  /** A notification command of Nagios that posts one alert by curl; its names are of this round alone. */
  hook(round: number): string;
};

/** Starts it beside the lab's relay, which must run; the lab stops it. */
export const startAlertmanager = async (lab: Lab): Promise<Alertmanager> => {
  const settings = readFileSync(await lab.script("alertmanager", "start"), "utf8");
  lab.onStop(() => lab.script("alertmanager", "stop"));
  const [, url = ""] = /^AM_URL=(.*)$/m.exec(settings) ?? [];
  const type = "Content-Type: application/json";
  const script = join(lab.folder, "post-alert");
  const labels = `[{\\"labels\\":{\\"alertname\\":\\"$1\\",\\"instance\\":\\"farm01\\"}}]`;
  writeFileSync(
    script,
    `#!/bin/sh\nexec curl -sS -f -H '${type}' --data-binary "${labels}" ${url}/api/v2/alerts\n`,
  );
  chmodSync(script, 0o755);
  return {
    hook: (round) => `${script} '$SERVICEDESC$-${round}'`,
    post: (services) => {
      const alerts = services.map((alertname) => ({
        labels: { alertname, instance: "web01", severity: "critical" },
        annotations: { summary: "HTTP CRITICAL - Socket timeout after 10 seconds" },
      }));
      const file = join(lab.folder, "alerts.json");
      writeFileSync(file, JSON.stringify(alerts));
      return ["curl", "-sS", "-f", "-H", type, "--data-binary", `@${file}`, `${url}/api/v2/alerts`];
    },
  };
};
