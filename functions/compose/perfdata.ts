/** One value of a plugin's performance data, as the plugin wrote its parts; absent if the plugin left them out. */
export type Measure = {
  label: string;
  value: string;
  warn?: string;
  crit?: string;
  /** The part of its maximum from 0 to 1, if there is a maximum. */
  share?: number;
};

const onePart =
  /\s*(?:'((?:[^']|'')+)'|([^\s'=]+))=(-?[\d.,]+(?:e[-+]?\d+)?)([^\s;]*)(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?;*(?=\s|$)/iy;

const numberOf = (text: string | undefined): number => (text ? Number(text.replace(",", ".")) : Number.NaN);

/**
 * The values in performance data, in the form of the Monitoring Plugins (`'label'=value[unit];warn;crit;min;max`); undefined
 * if a part of it has another form.
 */
export const readPerfdata = (text: string): Measure[] | undefined => {
  const measures: Measure[] = [];
  const given = text.trim();
  onePart.lastIndex = 0;
  while (onePart.lastIndex < given.length) {
    const part = onePart.exec(given);
    if (!part) return undefined;
    const [, quoted, plain = "", value = "", unit = "", warn, crit, least, most = unit === "%" ? "100" : ""] =
      part;
    const [number, from, to] = [numberOf(value), numberOf(least || "0"), numberOf(most)];
    const share = to > from ? (number - from) / (to - from) : Number.NaN;
    measures.push({
      label: quoted?.replaceAll("''", "'") ?? plain,
      value: `${value}${unit && unit !== "%" ? " " : ""}${unit}`,
      ...(warn && { warn }),
      ...(crit && { crit }),
      ...(share >= 0 && { share: Math.min(1, share) }),
    });
  }
  return measures.length > 0 ? measures : undefined;
};

/** The thresholds of a value in words: `warn 80, crit 90`; empty without any. */
export const thresholdsOf = ({ warn, crit }: Measure): string =>
  [warn && `warn ${warn}`, crit && `crit ${crit}`].filter(Boolean).join(", ");
