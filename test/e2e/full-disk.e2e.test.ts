import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { posted } from "../world/alerts.ts";
import {
  type BridgeSettings,
  bridgeSettings,
  type Lab,
  mailsIn,
  openLab,
  type Relay,
  startBridge,
  startRelay,
  until,
} from "../world/lab.ts";

let lab: Lab;
let relay: Relay;
let settings: BridgeSettings;
beforeAll(async () => {
  lab = openLab();
  relay = await startRelay(lab);
  settings = bridgeSettings(lab, relay, 18_768);
  const state = settings.environment.HARDSTATE_STATE ?? "";
  mkdirSync(state);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", state]);
  lab.onStop(async () => execFileSync("umount", [state]));
});
afterAll(() => lab?.stop());

describe("a disk that is full", () => {
  it("makes intake answer 503 with Retry-After, keeps all that was taken and nothing of what was not", async () => {
    // The relay is away, so everything that is taken stays on the disk.
    const environment: Record<string, string> = {
      ...settings.environment,
      HARDSTATE_RELAYS: "smtp://127.0.0.1:1?tls=none",
    };
    delete environment.HARDSTATE_RELAYS_FILE;
    const bridge = await startBridge(lab, { ...settings, environment });
    const post = (id: string) =>
      fetch(`${bridge.url}/v1/alerts`, {
        method: "POST",
        body: JSON.stringify(
          posted({
            id,
            object: { host: "h", service: id },
            long_output: "x".repeat(50_000),
            recipients: [{ email: "ops@example.com" }],
          }),
        ),
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${settings.token}` },
      });
    const taken: string[] = [];
    let refused: Response | undefined;
    for (let n = 0; n < 200 && !refused; n++) {
      const id = `large-alert-${n}`;
      const response = await post(id);
      if (response.status === 202) taken.push(id);
      else refused = response;
    }
    expect([refused?.status, refused?.headers.get("Retry-After")]).toEqual([503, "10"]);
    expect(taken.length).toBeGreaterThan(3);
    await bridge.kill("SIGKILL");

    execFileSync("mount", ["-o", "remount,size=100m", settings.environment.HARDSTATE_STATE ?? ""]);
    await startBridge(lab, settings);
    const arrived = async () =>
      new Set((await mailsIn(relay.maildir)).map(({ subject }) => subject?.split("h/")[1]));
    await until(
      "every alert that was taken is mailed",
      60,
      async () => (await arrived()).size >= taken.length,
    );
    expect([...(await arrived())].toSorted()).toEqual(taken.toSorted());
  });
});
