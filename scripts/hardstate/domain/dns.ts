import type { Resolver } from "node:dns/promises";

/** The records of a name, perhaps none. `missing`: the name does not exist. */
export type Answer<T> = { records: T[]; missing: boolean };

/** DNS gave no answer, or an error. */
export class NoAnswer extends Error {}

/** Looks up a name. Each rejects with NoAnswer if DNS gives no answer. */
export type Dns = {
  /** Each record as one text. */
  txt(name: string): Promise<Answer<string>>;
  mx(name: string): Promise<Answer<{ exchange: string; priority: number }>>;
  /** IPv4 and IPv6. */
  addresses(name: string): Promise<Answer<string>>;
};

const absent: readonly string[] = ["ENODATA", "ENOTFOUND"];

/** Asks a resolver, once for each name and type. */
export const dnsOf = (
  resolver: Pick<Resolver, "resolveTxt" | "resolveMx" | "resolve4" | "resolve6">,
): Dns => {
  const asked = new Map<string, Promise<unknown>>();
  const ask = <T>(type: string, name: string, query: () => Promise<T[]>): Promise<Answer<T>> => {
    const key = `${type} ${name.toLowerCase()}`;
    const known = asked.get(key) as Promise<Answer<T>> | undefined;
    const answer =
      known ??
      query().then(
        (records) => ({ records, missing: false }),
        ({ code, message }: NodeJS.ErrnoException) => {
          if (!code || !absent.includes(code)) throw new NoAnswer(`${type} of ${name}: ${code ?? message}`);
          return { records: [], missing: code === "ENOTFOUND" };
        },
      );
    asked.set(key, answer);
    return answer;
  };
  const txt = async (name: string) => (await resolver.resolveTxt(name)).map((parts) => parts.join(""));
  return {
    txt: (name) => ask("TXT", name, () => txt(name)),
    mx: (name) => ask("MX", name, () => resolver.resolveMx(name)),
    addresses: async (name) => {
      const answers = await Promise.all([
        ask("A", name, () => resolver.resolve4(name)),
        ask("AAAA", name, () => resolver.resolve6(name)),
      ]);
      const missing = answers.every((answer) => answer.missing);
      return { records: answers.flatMap(({ records }) => records), missing };
    },
  };
};
