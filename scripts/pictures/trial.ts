import { readFileSync } from "node:fs";
import { type TerminalLine, terminals } from "./svg.ts";

const page = readFileSync("docs/install/trial.md", "utf8");

/** The lines that the page shows from one command on, which an end-to-end test compares with a real trial. */
const recorded = (command: string): string[] => {
  const [, rest] = page.split(`    $ ${command}`);
  if (rest === undefined) throw new Error(`docs/install/trial.md does not show ${command}`);
  const [shown = ""] = rest.split(/\n(?! {4})/);
  return `$ ${command}${shown}`.split("\n").map((line) => line.trim());
};

const toneOf = (line: string): TerminalLine["tone"] => {
  if (line.startsWith("$ ")) return "typed";
  if (/ mailed |^mailed/.test(line)) return "good";
  return / suppressed /.test(line) ? "quiet" : undefined;
};

/** trial.svg: the recorded trial in two terminals. Each post of curl comes before what the bridge prints about it. */
export const trial = (): string => {
  const [, curl = ""] = /^(curl .*)$/m.exec(page) ?? [];
  const typed = [
    `$ ${curl}`,
    "$ curl … NOTIFICATIONTYPE=PROBLEM … SERVICESTATE=CRITICAL …",
    "$ curl … NOTIFICATIONTYPE=RECOVERY … SERVICESTATE=OK …",
  ];
  const pause = 4;
  let posts = 0;
  let at = 0;
  const above = recorded("npm start").map((words): TerminalLine => {
    at = / accepted /.test(words) ? ++posts * pause : at + 0.5;
    return { words, tone: toneOf(words), ...(words.startsWith("$") ? {} : { at }) };
  });
  const story = recorded("npm run -s hardstate -- explain");
  const below = [
    ...typed.map((words, index): TerminalLine => ({ words, tone: "typed", at: (index + 1) * pause - 1 })),
    ...story.map(
      (words, index): TerminalLine => ({ words, tone: toneOf(words), at: (posts + 1) * pause + index / 2 }),
    ),
  ];
  return terminals("A trial: the problem is mailed, its repetition is not, the recovery is", 102, [
    { name: "the bridge", lines: above },
    { name: "another terminal, without curl's answers", lines: below },
  ]);
};
