const unitSeconds: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** Seconds of `90s`, `10min`, `48h` or `7d`; undefined for anything else or nothing at all. */
export const durationSeconds = (text: string): number | undefined => {
  const match = /^([1-9]\d{0,5})(s|min|h|d)$/.exec(text);
  return match ? Number(match[1]) * (unitSeconds[match[2] ?? ""] ?? 0) : undefined;
};
