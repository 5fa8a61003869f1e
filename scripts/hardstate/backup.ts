import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { say } from "../../functions/report/log.ts";
import { withFiles } from "../../functions/runtime/settings.ts";
import { copyTogether } from "../../functions/sqlite.ts";
import { type Command, NotFoundOut, type Status, WrongUse } from "./command.ts";

/** The two files of an embedded bridge, by the settings; what is in SQS or DynamoDB is backed up there. */
const storesOf = (environment: Record<string, string | undefined>) => {
  const state = environment.HARDSTATE_STATE?.trim() || ".hardstate";
  return (["queue", "ledger"] as const).map((store) => {
    const name = `HARDSTATE_${store.toUpperCase()}`;
    const setting = environment[name]?.trim() || `sqlite:${state}/${store}.sqlite`;
    if (!setting.startsWith("sqlite:"))
      throw new NotFoundOut(`${name} is not on this machine: back it up where it is.`);
    const from = setting.slice("sqlite:".length);
    if (!existsSync(from))
      throw new NotFoundOut(`There is no ${store} ${from}: HARDSTATE_STATE names the folder of the bridge.`);
    return { from, name: `${store}.sqlite` };
  });
};

/** `hardstate backup` */
export const backupCommand: Command = {
  summary: "copies queue and ledger while the bridge runs",
  usage: `usage: hardstate backup FOLDER [--json]

Copies queue and ledger of HARDSTATE_STATE (HARDSTATE_QUEUE, HARDSTATE_LEDGER)
to the new FOLDER, both as they are at one instant, while the bridge runs or
not. FOLDER is there when the copy is whole, or not at all. It holds what people
wrote in alerts, but no setting and no secret.

To restore it, stop the bridge, put the two files in place of those in its state
folder (away with *.sqlite-wal and *.sqlite-shm too), and start it.

exit status: 0 done  2 wrong use  3 it could not be done`,
  options: {},
  run: async ([folder, ...more], { json }): Promise<Status> => {
    if (folder === undefined || more.length > 0) throw new WrongUse("backup needs one FOLDER");
    if (existsSync(folder)) throw new WrongUse(`${folder} is there already: backup needs a new FOLDER`);
    const { environment, faults } = withFiles(process.env);
    for (const { field, expected } of faults) throw new NotFoundOut(`${field} needs ${expected}.`);
    const stores = storesOf(environment);
    const part = `${resolve(folder)}.part-${process.pid}`;
    try {
      mkdirSync(part, { mode: 0o700 });
      await copyTogether(stores.map(({ from, name }) => ({ from, to: join(part, name) })));
      renameSync(part, folder);
    } catch (error) {
      rmSync(part, { recursive: true, force: true });
      throw new NotFoundOut(`No backup was made: ${(error as Error).message}.`);
    }
    const files = stores.map(({ name }) => ({ name, bytes: statSync(join(folder, name)).size }));
    if (json) say(JSON.stringify({ folder: resolve(folder), files }));
    else for (const { name, bytes } of files) say(`${join(folder, name)}  ${bytes} bytes`);
    return 0;
  },
};
