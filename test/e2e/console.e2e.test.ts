import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { hostile, hostileAlerts, writeBusyDay } from "../console/busy-day.ts";
import { authority, certificate } from "../deliver/certificate.ts";
import { type ScriptedRelay, scriptedRelay } from "../deliver/scripted-relay.ts";
import { posted } from "../world/alerts.ts";
import { type Bridge, type Lab, openLab, startBridge, until } from "../world/lab.ts";

const pictures = process.env.SCREENSHOTS || mkdtempSync(join(tmpdir(), "hardstate-console-"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const token = "t0ken-of-the-console-test-".padEnd(40, "x");

let lab: Lab;
let relay: ScriptedRelay;
let bridge: Bridge;
let browser: Browser;
/** Contacts whose mailbox is gone. */
const gone = new Set(["gone@example.com", "left@example.com", "moved@example.com"]);

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
};
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
const post = async (alerts: Record<string, unknown>[]) => {
  const response = await fetch(`${bridge.url}/v1/alerts`, {
    method: "POST",
    headers,
    body: JSON.stringify(alerts),
  });
  expect(response.status).toBe(202);
};
const statusOf = async (id: string): Promise<string> => {
  const answer = await fetch(`${bridge.url}/v1/alerts/${id}`, { headers });
  return ((await answer.json()) as { status: string }).status;
};
let number = 7000;
const alert = (id: string, contact: string, change: Record<string, unknown> = {}) => ({
  ...posted({ id, notification: { id: String(number++) }, ...change }),
  recipients: [{ name: "ops", email: contact }],
});

beforeAll(async () => {
  lab = openLab();
  const ca = await authority();
  const knows = {
    RCPT: (line: string) => {
      const contact = /<([^>]*)>/.exec(line)?.[1] ?? "";
      return gone.has(contact)
        ? `550 5.1.1 <${contact}>: Recipient address rejected: User unknown in virtual mailbox table\r\n`
        : "250 2.1.5 Ok\r\n";
    },
  };
  relay = await scriptedRelay(await certificate({ ca }), knows);
  // It closes when it has refused its part: a dead letter needs the refusal of every route.
  const first = await scriptedRelay(await certificate({ ca }), knows);
  lab.onStop(() => first.close());
  lab.onStop(() => relay.close());
  const state = join(lab.folder, "state");
  mkdirSync(state, { mode: 0o700 });
  await writeBusyDay(join(state, "ledger.sqlite"), Date.now(), "site");
  const port = await freePort();
  bridge = await startBridge(lab, {
    port,
    token,
    environment: {
      HARDSTATE_STATE: state,
      HARDSTATE_PORT: String(port),
      HARDSTATE_TOKENS: `site=${token} other=${"o".repeat(30)}`,
      HARDSTATE_RELAYS: `smtp://bridge:secret-of-it@127.0.0.1:${first.port} smtp://bridge:secret-of-it@127.0.0.1:${relay.port}`,
      HARDSTATE_RELAY_CA: ca.cert,
      HARDSTATE_FROM: "nagios@example.com",
      HARDSTATE_RECIPIENTS: "example.com",
      HARDSTATE_FLAP_HOLD: "off",
    },
  });
  await post([
    ...[...gone].map((contact, index) =>
      alert(`undelivered-${index}`, contact, { object: { host: `db0${index}`, service: "Replication" } }),
    ),
    alert("mailed-0001", "ops@example.com", { object: { host: "web09", service: "Certificate chain" } }),
    ...hostileAlerts("ops@example.com"),
  ]);

  const beat = { method: "PUT", headers, body: '{"monitor":"monitor1"}' };
  expect((await fetch(`${bridge.url}/v1/heartbeat`, beat)).status).toBe(200);
  for (const id of ["undelivered-0", "undelivered-1", "undelivered-2"])
    await until(`${id} is refused`, 30, async () => (await statusOf(id)) === "refused");
  await first.close();
  for (const name of Object.keys(hostile))
    await until(`${name} is mailed`, 30, async () => (await statusOf(`hostile-${name}`)) === "mailed");
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await lab?.stop();
});

type Looks = { width?: number; colorScheme?: "light" | "dark"; javaScriptEnabled?: boolean };
/** A new reader's page; `complaints` are what the browser says against it. */
const reader = async ({ width = 1280, colorScheme = "light", javaScriptEnabled = true }: Looks = {}) => {
  const context: BrowserContext = await browser.newContext({
    baseURL: bridge.url,
    viewport: { width, height: 800 },
    colorScheme,
    javaScriptEnabled,
    timezoneId: "Europe/Berlin",
    locale: "en-GB",
  });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints: string[] = [];
  page.on("console", (message) => {
    // Chromium calls a page that is answered with 401 an error.
    if (message.type() === "error" && !message.text().includes("status of 4"))
      complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  return { page, context, complaints };
};
const logIn = async (page: Page) => {
  await page.goto("/");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: /^Mail is flowing/ }).waitFor();
};

describe.each([
  ["with JavaScript", true, 0],
  ["without JavaScript", false, 1],
])("a reader %s", (_, javaScriptEnabled, which) => {
  it("logs in, searches, reads a story, puts a dead letter back and logs out", async () => {
    const { page, context, complaints } = await reader({ javaScriptEnabled });
    await logIn(page);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: "hardstate", httpOnly: true, sameSite: "Strict", path: "/" });

    const [id, contact] = [`undelivered-${which}`, ["gone@example.com", "left@example.com"][which] ?? ""];
    await page.getByRole("link", { name: "Journal" }).click();
    await page.getByLabel("Contact").fill(contact);
    await page.getByLabel("Outcome").selectOption("refused");
    await page.getByRole("button", { name: "Search" }).click();
    await page.waitForURL(/outcome=refused/);
    expect(await page.getByRole("row").count()).toBe(2);
    await page.getByRole("link", { name: `db0${which}/Replication` }).click();
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toContain(`db0${which}/Replication`);
    expect(await page.getByRole("list").filter({ hasText: "received from" }).textContent()).toContain(
      "550 5.1.1",
    );

    gone.delete(contact);
    await page.getByRole("link", { name: "Dead letters" }).click();
    await page
      .getByRole("listitem")
      .filter({ hasText: `db0${which}` })
      .getByRole("button", { name: "Put back" })
      .click();
    await page.getByText("1 alert put back").waitFor();
    await until("it is mailed", 30, async () => (await statusOf(id)) === "mailed");
    await page.goto(`/alerts/${id}`);
    await page.getByText("put back by hand").waitFor();
    expect(await page.locator(".outcome").first().textContent()).toMatch(/^mailed: PROBLEM mail/);

    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor();
    expect(await context.cookies()).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

describe("a reader with a keyboard alone", () => {
  it("logs in and searches", async () => {
    const { page } = await reader();
    await page.goto("/journal");
    // Text that is typed before the browser gives the field its focus goes nowhere.
    await page.locator("input[name=token]:focus").waitFor();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Journal" }).waitFor();
    const focused = () =>
      page.evaluate(() => document.activeElement?.textContent || document.activeElement?.id);
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("object");
    await page.keyboard.type("web09/Certificate chain");
    await page.keyboard.press("Enter");
    await page.waitForURL(/object=web09/);
    expect(await page.getByRole("row").count()).toBe(2);
  });
});

describe("the first page", () => {
  it("is fresh after half a minute without being loaded again", async () => {
    const { page, complaints } = await reader();
    await page.clock.install();
    await logIn(page);
    const suppressed = page.locator(".sum").getByText("suppressed");
    const before = await suppressed.textContent();
    await post([
      alert("repeated-1", "ops@example.com", { object: { host: "web09", service: "Certificate chain" } }),
    ]);
    await until("it is suppressed", 30, async () => (await statusOf("repeated-1")) === "suppressed");
    await page.clock.fastForward(31_000);
    await expect.poll(() => suppressed.textContent(), { timeout: 10_000 }).not.toBe(before);
    expect(complaints).toEqual([]);
  });
});

const rooms: [name: string, path: string][] = [
  ["login", "/logout"],
  ["now", "/"],
  ["problems", "/problems"],
  ["journal", "/journal"],
  ["journal-none", "/journal?object=nobody"],
  ["story", "/alerts/undelivered-2"],
  ["story-hostile", "/alerts/hostile-script"],
  ["dead-letters", "/dead-letters"],
  ["unknown", "/alerts/nothing-like-this"],
];
describe.each(rooms)("the page %s", (name, path) => {
  it("has no fault that axe-core knows, none that the browser tells, and fits 360 px", async () => {
    for (const width of [1280, 360])
      for (const colorScheme of ["light", "dark"] as const) {
        const { page, complaints } = await reader({ width, colorScheme });
        if (name === "login") await page.goto("/");
        else {
          await logIn(page);
          await page.goto(path);
        }
        await page.screenshot({
          path: join(pictures, `${name}-${width}-${colorScheme}.png`),
          fullPage: true,
        });
        const tooWide = () => document.documentElement.scrollWidth - innerWidth;
        expect(await page.evaluate(tooWide)).toBeLessThanOrEqual(0);
        await page.evaluate(axe);
        const violations = await page.evaluate(async () => {
          const run = (window as unknown as { axe: { run(): Promise<{ violations: AxeFault[] }> } }).axe.run;
          return (await run()).violations.map(
            ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
          );
        });
        expect(violations).toEqual([]);
        expect(complaints).toEqual([]);
        expect(await page.title()).not.toBe("taken");
      }
  }, 120_000);
});
type AxeFault = { id: string; nodes: { html: string }[] };
