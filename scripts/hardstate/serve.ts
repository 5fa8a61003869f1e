import { type Command, WrongUse } from "./command.ts";

export const serve: Command = {
  summary: "starts the bridge, as npm start does",
  usage: `usage: hardstate serve

Starts the bridge by the settings of the environment; without any it is a trial,
and says how to try it. SIGTERM or Ctrl-C ends it, and what waits is on disk.

exit status: 0 it was told to end  2 a setting is wrong  3 it cannot start`,
  options: {},
  run: async (words) => {
    if (words.length > 0) throw new WrongUse("serve needs no words");
    await import("../../functions/runtime/node.ts");
    return 0;
  },
};
