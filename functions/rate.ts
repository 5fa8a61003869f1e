import { durationSeconds } from "./duration.ts";

/** At most so many in any such time. */
export type Rate = { most: number; milliseconds: number };

/** Reads `30/min`: from 1 to `upTo` in each s, min, h or d; undefined for anything else. */
export const readRate = (text: string, upTo: number): Rate | undefined => {
  const [, most, unit = ""] = /^([1-9]\d{0,6})\/(s|min|h|d)$/.exec(text) ?? [];
  if (most === undefined || Number(most) > upTo) return undefined;
  return { most: Number(most), milliseconds: (durationSeconds(`1${unit}`) ?? 0) * 1000 };
};
