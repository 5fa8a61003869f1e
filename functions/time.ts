const unitSeconds: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** Seconds of `90s`, `10min`, `48h` or `7d`; undefined for anything else or nothing at all. */
export const durationSeconds = (text: string): number | undefined => {
  const match = /^([1-9]\d{0,5})(s|min|h|d)$/.exec(text);
  return match ? Number(match[1]) * (unitSeconds[match[2] ?? ""] ?? 0) : undefined;
};

/** At most so many in any such time. */
export type Rate = { most: number; milliseconds: number };

/** Reads `30/min`: from 1 to `upTo` in each s, min, h or d; undefined for anything else. */
export const readRate = (text: string, upTo: number): Rate | undefined => {
  const [, most, unit = ""] = /^([1-9]\d{0,6})\/(s|min|h|d)$/.exec(text) ?? [];
  if (most === undefined || Number(most) > upTo) return undefined;
  return { most: Number(most), milliseconds: (durationSeconds(`1${unit}`) ?? 0) * 1000 };
};
