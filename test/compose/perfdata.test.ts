import { globSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readPerfdata, thresholdsOf } from "../../functions/compose/perfdata.ts";

it.each<[string, string[][]]>([
  // Lines that check_ping, check_disk, check_load, check_http and check_by_ssh of the Monitoring Plugins print.
  [
    "rta=0.035000ms;100.000000;500.000000;0.000000 pl=0%;20;60;0",
    [
      ["rta", "0.035000 ms", "warn 100.000000, crit 500.000000", ""],
      ["pl", "0%", "warn 20, crit 60", "0"],
    ],
  ],
  ["/=2643MB;5948;5958;0;5968", [["/", "2643 MB", "warn 5948, crit 5958", "0.44"]]],
  ["load1=0,010;15,000;30,000;0;", [["load1", "0,010", "warn 15,000, crit 30,000", ""]]],
  [
    "time=10.0s;1;5 size=0B",
    [
      ["time", "10.0 s", "warn 1, crit 5", ""],
      ["size", "0 B", "", ""],
    ],
  ],
  ["'C:\\ %'=91%;80:90;@95:100", [["C:\\ %", "91%", "warn 80:90, crit @95:100", "0.91"]]],
  ["'it''s'=1c", [["it's", "1 c", "", ""]]],
  ["over=150%", [["over", "150%", "", "1"]]],
  ["t=-3.5e+2;;;-1000;0", [["t", "-3.5e+2", "", "0.65"]]],
])("reads %s", (text, expected) => {
  const seen = readPerfdata(text)?.map((one) => [
    one.label,
    one.value,
    thresholdsOf(one),
    one.share === undefined ? "" : String(Math.round(one.share * 100) / 100),
  ]);
  expect(seen).toEqual(expected);
});

it.each(["", " ", "no values", "a=b", "a=1 and b=2", "=5", "a=1;2;3;4;5;6", "'open=1", "a=1\n<b>=2 x"])(
  "leaves %j as it is",
  (text) => {
    expect(readPerfdata(text)).toBeUndefined();
  },
);

it("reads the recorded performance data, but for texts that plugins never print", () => {
  const recorded = globSync("test/corpus/nagios/*.env").flatMap((path) =>
    [...readFileSync(path, "latin1").matchAll(/^ARGV_(?:SERVICE|HOST)PERFDATA=(.+)$/gm)].map(
      ([, text = ""]) => text,
    ),
  );
  const unread = [...new Set(recorded)].filter((text) => readPerfdata(text) === undefined);
  expect(recorded.length - unread.length).toBeGreaterThanOrEqual(10);
  expect(unread.filter((text) => !text.startsWith("C:\\ used=") && !text.startsWith("false "))).toEqual([]);
});
