import { resolveContact } from "../../functions/address.ts";
import type { Fault } from "../../functions/alert.ts";
import { settings as known, readSettings, type Settings } from "../../functions/config.ts";
import { passwordDoubt, type Relay, relayWords } from "../../functions/deliver/relay-url.ts";
import { operatorSite } from "../../functions/identity.ts";
import { say } from "../../functions/report/log.ts";
import { type Environment, withFiles } from "../../functions/runtime/settings.ts";
import { type Command, paragraph, type Status } from "./command.ts";

type Recipients = { name: string; addresses: { address: string; allowed: boolean }[]; fault?: string };

/** The addresses of an alias, and whether mail may go there. */
const aliasOf = (name: string, { aliases, allowed }: Settings): Recipients | undefined => {
  const addresses = aliases.get(name.toLowerCase());
  return (
    addresses && { name, addresses: addresses.map((address) => ({ address, allowed: allowed(address) })) }
  );
};

/** The addresses that get an alert for a contact of this name or address. */
const contactOf = (name: string, settings: Settings): Recipients => {
  const contact = name.includes("@") ? { email: name } : { name };
  const { addresses, rejected } = resolveContact(contact, settings.aliases, settings.allowed);
  const found = addresses.map((address) => ({ address, allowed: true }));
  if (rejected.length === 0) return { name, addresses: found };
  const fault = [...new Set(rejected.map(({ expected }) => expected))].join("; ");
  return aliasOf(name, settings) ?? { name, addresses: found, fault };
};

const isBad = ({ addresses, fault }: Recipients) =>
  fault !== undefined || addresses.some((to) => !to.allowed);

const recipientsWords = ({ name, addresses, fault }: Recipients): string => {
  const words = addresses.map(({ address, allowed }) =>
    allowed ? address : `${address} (NOT ALLOWED by HARDSTATE_RECIPIENTS)`,
  );
  return paragraph(
    `  ${name.padEnd(12)} → `,
    [...words, ...(fault === undefined ? [] : [`REFUSED: needs ${fault}`])].join(", "),
  );
};

/** Each setting that is not shown in another way, as it is or by default. */
const others = (environment: Environment, { state }: Settings): string[] =>
  known
    .filter(({ name, secret }) => !secret && !["HARDSTATE_RELAY_CA", "HARDSTATE_ALIASES"].includes(name))
    .flatMap(({ name, fallback }) => {
      const given = environment[name]?.trim();
      if (given) return [paragraph(`  ${name.padEnd(26)} `, given.replaceAll(/\s+/g, " "))];
      return fallback === undefined
        ? []
        : [`  ${name.padEnd(26)} ${fallback.replace("STATE", state)} (default)`];
    });

const doubtOf = (relay: Relay): string | undefined =>
  relay.kind === "smtp" ? passwordDoubt(relay) : undefined;

const relayLines = (relay: Relay): string[] => {
  const doubt = doubtOf(relay);
  return [
    `  ${relay.route}`,
    paragraph("    ", relayWords(relay)),
    ...(doubt ? [paragraph("    WARNING: ", doubt)] : []),
  ];
};

const sitesOf = ({ tokens }: Settings): string[] => [...new Set(tokens.map(({ site }) => site))];

const settingsWords = (environment: Environment, settings: Settings): string[] => [
  "routes, in order of preference",
  ...settings.relays.flatMap(relayLines),
  paragraph(
    "alerts may be posted by ",
    sitesOf(settings)
      .filter((site) => site !== operatorSite)
      .join(", "),
  ),
  ...(sitesOf(settings).includes(operatorSite)
    ? [paragraph("the bridge's own notices may be read by ", `tokens of the site ${operatorSite}`)]
    : []),
  paragraph("told of troubles: ", settings.operators.length > 0 ? settings.operators.join(", ") : "nobody"),
  "other settings",
  ...others(environment, settings),
];

/** `hardstate check` */
export const check: Command = {
  summary: "tells whether the settings are valid, and what they say",
  usage: `usage: hardstate check [NAME...] [--json]

Reads the settings as the bridge does (the environment, and NAME_FILE) and
names all that is wrong; values that may be secret are never shown. If they are
valid: which login each relay gets, what each alias stands for, and the rest.

  NAME       a contact's name or address: which addresses its mail would go to,
             as for an alert

exit status: 0 all is well  1 a setting is wrong, or a NAME or alias leads
             nowhere or where HARDSTATE_RECIPIENTS does not allow  2 wrong use`,
  options: {},
  run: async (names, { json }): Promise<Status> => {
    const { environment, faults } = withFiles(process.env);
    const reading = readSettings(environment);
    if (faults.length > 0 || !reading.ok) {
      const all: Fault[] = [...faults, ...(reading.ok ? [] : reading.faults)];
      if (json) say(JSON.stringify({ verdict: "fail", faults: all }));
      else {
        say("These settings are wrong:\n");
        for (const { field, expected } of all) say(paragraph("  ", `${field} needs ${expected}`));
      }
      return 1;
    }
    const settings = reading.value;
    const aliases =
      names.length > 0 ? [] : [...settings.aliases.keys()].flatMap((name) => aliasOf(name, settings) ?? []);
    const contacts = names.map((name) => contactOf(name, settings));
    const bad = [...aliases, ...contacts].some(isBad);
    if (json) {
      const routes = settings.relays.map((relay) => ({
        route: relay.route,
        configured: relayWords(relay),
        warning: doubtOf(relay),
      }));
      const verdict = bad ? "fail" : "pass";
      say(
        JSON.stringify({ verdict, faults: [], ...(names.length > 0 ? { contacts } : { routes, aliases }) }),
      );
      return bad ? 1 : 0;
    }
    if (names.length === 0) for (const line of settingsWords(environment, settings)) say(line);
    if (aliases.length > 0) say("aliases");
    for (const recipients of [...aliases, ...contacts]) say(recipientsWords(recipients));
    if (names.length === 0)
      say(bad ? "\nBad: an alias leads where no mail may go." : "\nThe settings are valid.");
    return bad ? 1 : 0;
  },
};
