import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makePictures } from "../../scripts/pictures.ts";

it("docs/pictures has what npm run pictures makes: the drawings to the letter, the others by name and size", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  try {
    await makePictures(folder);
    expect(readdirSync(folder).sort()).toEqual(readdirSync("docs/pictures").sort());
    for (const name of readdirSync(folder)) {
      const [made, kept] = [join(folder, name), join("docs/pictures", name)];
      if (name.endsWith(".svg")) expect(readFileSync(made, "utf8"), name).toBe(readFileSync(kept, "utf8"));
      else expect(statSync(made).size, name).toBeGreaterThan(10_000);
      expect(statSync(kept).size, name).toBeLessThan(200_000);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
