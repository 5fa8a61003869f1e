import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { posted } from "./alerts.ts";
import { type Bridge, type BridgeSettings, bridgeSettings, type Lab, type Relay } from "./lab.ts";

/** The route to a lab's relay. */
export const urlOf = ({ user, password, port }: Relay, given = password): string =>
  `smtp://${user}:${given}@localhost:${port}`;

const inClear: Relay = { port: 0, tlsPort: 0, user: "", password: "", ca: "", maildir: "" };

/** A bridge with these routes, in this order, and an operator; the authorities of all these relays are trusted. */
export const routeSettings = (
  on: Lab,
  port: number,
  urls: readonly string[],
  relays: readonly Relay[] = [],
): BridgeSettings => {
  const settings = bridgeSettings(on, relays[0] ?? inClear, port);
  const file = (name: string, text: string) => {
    writeFileSync(join(on.folder, name), text, { mode: 0o600 });
    return join(on.folder, name);
  };
  const authorities = relays.map(({ ca }) => readFileSync(ca, "utf8")).join("\n");
  settings.environment.HARDSTATE_RELAYS_FILE = file("routes", urls.join(" "));
  if (authorities) settings.environment.HARDSTATE_RELAY_CA_FILE = file("authorities", authorities);
  else delete settings.environment.HARDSTATE_RELAY_CA_FILE;
  settings.environment.HARDSTATE_OPERATOR = "admin@example.com";
  return settings;
};

/** Posts problems of so many hosts, 100 at a time; resolves to their ids. */
export const postProblems = async (
  bridge: Bridge,
  token: string,
  first: number,
  count: number,
  email = "ops@example.com",
): Promise<string[]> => {
  const ids = Array.from({ length: count }, (_, n) => `alert-${String(first + n).padStart(4, "0")}`);
  const time = Math.floor(Date.now() / 1000);
  for (let start = 0; start < count; start += 100) {
    const alerts = ids.slice(start, start + 100).map((id, n) =>
      posted({
        id,
        time,
        object: { host: `host${first + start + n}`, service: null },
        state: "DOWN",
        recipients: [{ email }],
      }),
    );
    const response = await fetch(`${bridge.url}/v1/alerts`, {
      method: "POST",
      body: JSON.stringify(alerts),
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    });
    expect(await response.json()).not.toMatchObject({
      alerts: expect.arrayContaining([expect.objectContaining({ status: "rejected" })]),
    });
  }
  return ids;
};

/** The bridge's story of one alert. */
export type Told = {
  status: string;
  outcome: string;
  attempts: { route: string; result: string; reply: string; lostAfterData?: boolean; queueId?: string }[];
};
export const storyOf = async (bridge: Bridge, token: string, id: string): Promise<Told> => {
  const response = await fetch(`${bridge.url}/v1/alerts/${id}`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  return (await response.json()) as Told;
};
