import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { say } from "../functions/report/log.ts";
import { consoleTime, consoleToken, startConsole } from "./pictures/console.ts";
import { doctor } from "./pictures/doctor.ts";
import { episode } from "./pictures/episode.ts";
import { digestMail, problemMail } from "./pictures/mails.ts";
import { runtimesDrawing } from "./pictures/runtimes.ts";
import { trial } from "./pictures/trial.ts";

/** Takes the console's first page, once light and once dark. */
const takeConsole = async (browser: Browser, folder: string) => {
  const bridge = await startConsole();
  try {
    for (const colorScheme of ["light", "dark"] as const) {
      const context = await browser.newContext({
        baseURL: bridge.url,
        viewport: { width: 1280, height: 940 },
        deviceScaleFactor: 1.5,
        colorScheme,
        timezoneId: "UTC",
        locale: "en-GB",
      });
      const page = await context.newPage();
      await page.clock.setFixedTime(consoleTime);
      await page.goto("/");
      await page.getByLabel("Token").fill(consoleToken);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("heading", { level: 1 }).and(page.locator("#verdict *")).waitFor();
      await page.screenshot({ path: join(folder, `console-${colorScheme}.png`) });
      await context.close();
    }
  } finally {
    await bridge.close();
  }
};

const takePhone = async (browser: Browser, html: string, path: string) => {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    colorScheme: "light",
  });
  const page = await context.newPage();
  await page.setContent(html);
  await page.frameLocator("iframe").getByText("by Hardstate").waitFor({ state: "attached" });
  await page.screenshot({ path });
  await context.close();
};

/** Makes the pictures of docs/pictures in a folder. Needs Debian's chromium for the PNG files. */
export const makePictures = async (folder: string): Promise<void> => {
  mkdirSync(folder, { recursive: true });
  const drawings = {
    "runtimes.svg": runtimesDrawing(),
    "episode.svg": await episode(),
    "doctor.svg": await doctor(),
    "trial.svg": trial(),
  };
  for (const [name, drawing] of Object.entries(drawings)) writeFileSync(join(folder, name), drawing);
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    await takeConsole(browser, folder);
    await takePhone(browser, await problemMail(), join(folder, "problem-phone.png"));
    await takePhone(browser, await digestMail(), join(folder, "digest-phone.png"));
  } finally {
    await browser.close();
  }
};

if (import.meta.main) {
  await makePictures("docs/pictures");
  say("docs/pictures is new.");
}
