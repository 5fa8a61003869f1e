import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makePictures } from "../../scripts/pictures.ts";

/** Width and height in a PNG's header (W3C PNG §11.2.1). */
const sizeOf = (path: string): number[] => {
  const header = readFileSync(path);
  return [header.readUInt32BE(16), header.readUInt32BE(20)];
};

it("docs/pictures has what npm run pictures makes: the drawings to the letter, the others by name and size", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hardstate-pictures-"));
  try {
    await makePictures(folder);
    expect(readdirSync(folder).sort()).toEqual(readdirSync("docs/pictures").sort());
    for (const name of readdirSync(folder)) {
      const [made, kept] = [join(folder, name), join("docs/pictures", name)];
      if (name.endsWith(".svg")) expect(readFileSync(made, "utf8"), name).toBe(readFileSync(kept, "utf8"));
      else
        for (const path of [made, kept])
          expect(sizeOf(path), path).toEqual(name.includes("phone") ? [780, 1688] : [1920, 1410]);
      expect(statSync(kept).size, name).toBeLessThan(200_000);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
