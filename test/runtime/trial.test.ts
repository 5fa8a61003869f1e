import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { expect, it } from "vitest";
import { capturingRelay } from "../../functions/runtime/trial.ts";

it("gives each mail a number of its own, though many come at once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-trial-"));
  const relay = await capturingRelay(
    folder,
    () => Date.now(),
    () => {},
  );
  const transport = createTransport({
    host: "localhost",
    port: relay.port,
    auth: { user: relay.user, pass: relay.password },
    tls: { ca: relay.certificate },
    pool: true,
    maxConnections: 5,
  });
  try {
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        transport.sendMail({ from: "a@example.com", to: `b${n}@example.com`, text: "x".repeat(100_000) }),
      ),
    );
    const numbers = replies.map(({ response }) => Number(/TRIAL(\d+)/.exec(response)?.[1]));
    expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(readdirSync(join(folder, "mail"))).toHaveLength(10);
  } finally {
    transport.close();
    await relay.close();
    rmSync(folder, { recursive: true });
  }
});
