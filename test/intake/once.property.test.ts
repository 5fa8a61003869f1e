import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { repeatedFields, repeatedNames } from "../../functions/intake/once.ts";

describe("names in JSON", () => {
  it("are not found to be repeated in any text of JSON.stringify", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(repeatedNames(JSON.stringify(value))).toEqual(new Map());
      }),
    );
  });

  it("are found wherever an object has one twice, in any spelling, by the item of the list", () => {
    const name = fc.string({ unit: "binary", maxLength: 20 });
    fc.assert(
      fc.property(name, fc.jsonValue(), fc.jsonValue(), fc.nat(5), (given, one, other, index) => {
        const spelt = `"${[...Array(given.length).keys()].map((at) => `\\u${given.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")}"`;
        const object = `{"x":[1,{${JSON.stringify(given)}:${JSON.stringify(one)},${spelt}:${JSON.stringify(other)}}]}`;
        const before = Array.from({ length: index }, () => JSON.stringify([one, { [given]: other }]));
        const list = `[${[...before, object, "{}"].join(",")}]`;
        const faults = [{ field: given, expected: "a field that is given once" }];
        expect(JSON.parse(list)).toHaveLength(index + 2);
        expect(repeatedNames(list)).toEqual(new Map([[index, faults]]));
        expect(repeatedNames(JSON.stringify(JSON.parse(list), undefined, 2))).toEqual(new Map());
      }),
    );
  });

  it("are found among blanks and quotes", () => {
    const faults = [{ field: 'x"y', expected: "a field that is given once" }];
    expect(repeatedNames('\n{ "x\\"y" : "\\"x\\":" ,\t"x\\u0022y"\n:2 }')).toEqual(new Map([[0, faults]]));
  });

  it("are read in little time, whatever the text is", () => {
    const texts = [
      `{${Array(30_000).fill('"a":1').join(",")}}`,
      JSON.stringify({ a: '"\\'.repeat(60_000) }),
      JSON.stringify(Array(120_000).fill(1)),
      `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`,
    ];
    for (const text of texts) {
      const begun = performance.now();
      repeatedNames(text);
      expect(performance.now() - begun).toBeLessThan(500);
    }
  });
});

describe("fields of a form", () => {
  it.each([
    ["HOSTNAME=a&STATE=b", []],
    ["HOSTNAME=a&HOSTNAME=a&X=1&X=2", ["HOSTNAME", "X"]],
    ["HOSTNAME=a&NAGIOS_HOSTNAME=a", []],
    ["HOSTNAME=a&NAGIOS_HOSTNAME=b", ["HOSTNAME"]],
    ["NAGIOS_CONTACTEMAIL=b&CONTACTEMAIL=a", ["CONTACTEMAIL"]],
    // A host has no service: it leaves the macro as it is, in a shell $, and its environment empty.
    ["SERVICEDESC=$SERVICEDESC$&NAGIOS_SERVICEDESC=&SERVICESTATE=$&NAGIOS_SERVICESTATE=", []],
    ["SERVICEDESC=HTTP&NAGIOS_SERVICEDESC=", ["SERVICEDESC"]],
    // Nagios mixes numbers up in its environment, and cleans its texts differently.
    ["HOSTATTEMPT=2&NAGIOS_HOSTATTEMPT=9&HOSTOUTPUT=a&NAGIOS_HOSTOUTPUT=b", []],
  ])("%s: given twice are %j", (form, fields) => {
    expect(repeatedFields(new URLSearchParams(form)).map(({ field }) => field)).toEqual(fields);
  });
});
