import { describe, expect, it } from "vitest";
import { isTimeZone, minuteOfDay, timeIn } from "../functions/time.ts";

const at = (text: string) => Date.parse(text);

it.each([
  ["2026-11-30T17:06:05Z", "UTC", "2026-11-30 17:06:05 UTC"],
  ["2026-11-30T17:06:05Z", "Europe/Berlin", "2026-11-30 18:06:05 CET (+0100)"],
  ["2026-07-30T17:06:05Z", "Europe/Berlin", "2026-07-30 19:06:05 CEST (+0200)"],
  ["2026-07-30T17:06:05Z", "Europe/London", "2026-07-30 18:06:05 BST (+0100)"],
  ["2026-11-30T17:06:05Z", "Europe/London", "2026-11-30 17:06:05 GMT (+0000)"],
  ["2026-11-30T17:06:05Z", "America/New_York", "2026-11-30 12:06:05 EST (-0500)"],
  ["2026-11-30T17:06:05Z", "Asia/Kolkata", "2026-11-30 22:36:05 IST (+0530)"],
  ["2026-11-30T17:06:05Z", "Australia/Sydney", "2026-12-01 04:06:05 AEDT (+1100)"],
  ["2026-11-30T17:06:05Z", "America/Sao_Paulo", "2026-11-30 14:06:05 (-0300)"],
])("%s in %s is %s", (time, zone, text) => {
  expect(timeIn(at(time), zone)).toBe(text);
});

it("the hour that a change of clocks repeats has two names", () => {
  expect(timeIn(at("2026-10-25T00:30:00Z"), "Europe/Berlin")).toBe("2026-10-25 02:30:00 CEST (+0200)");
  expect(timeIn(at("2026-10-25T01:30:00Z"), "Europe/Berlin")).toBe("2026-10-25 02:30:00 CET (+0100)");
});

it.each(["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])("%s is a zone", (zone) => {
  expect(isTimeZone(zone)).toBe(true);
});

it.each(["Berlin", "Europe/Berlin2", "x", "../etc"])("%s is no zone", (zone) => {
  expect(isTimeZone(zone)).toBe(false);
});

describe("a minute of the day", () => {
  it.each([
    ["UTC", "2026-11-30T10:00:00Z", "2026-11-30T07:30:00Z"],
    ["Europe/Berlin", "2026-11-30T10:00:00Z", "2026-11-30T06:30:00Z"],
    ["Europe/Berlin", "2026-07-30T23:30:00Z", "2026-07-31T05:30:00Z"],
    ["America/New_York", "2026-11-30T03:00:00Z", "2026-11-29T12:30:00Z"],
    ["Asia/Kolkata", "2026-11-30T20:00:00Z", "2026-12-01T02:00:00Z"],
  ])("07:30 in %s on the day of %s is %s", (zone, now, expected) => {
    expect(new Date(minuteOfDay(at(now), 450, zone).at).toISOString()).toBe(expected.replace("Z", ".000Z"));
  });

  it.each([
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Chatham",
  ])(
    "comes once on each day of a year in %s, whatever clocks are changed",
    (zone) => {
      for (const minute of [0, 90, 150, 1439]) {
        const seen = new Map<number, number>();
        for (let now = at("2026-01-01T12:00:00Z"); now < at("2027-01-01T12:00:00Z"); now += 1_800_000) {
          const { dayNumber, at: time } = minuteOfDay(now, minute, zone);
          expect(seen.get(dayNumber) ?? time).toBe(time);
          seen.set(dayNumber, time);
        }
        const times = [...seen.values()];
        const gaps = times.slice(1).map((time, index) => (time - (times[index] ?? 0)) / 3_600_000);
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(22);
        expect(Math.max(...gaps)).toBeLessThanOrEqual(26);
      }
    },
    20_000,
  );
});
