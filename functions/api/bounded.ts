import { cut, type Fault } from "../alert.ts";
import type { Posted } from "./shapes.ts";

/** An answer and a line of the log list so many faults, and count the others. */
const mostFaults = 20;
/** The answer to a batch lists so many of each item: the script says what is wrong with each alert. */
const mostOfItem = 5;
const mostIds = 100;

/** The first `most` faults, with texts of at most 600 bytes; `more` counts the others. */
export const fewFaults = (
  faults: readonly Fault[],
  most = mostFaults,
): { faults: Fault[]; more?: number } => {
  const few = faults
    .slice(0, most)
    .map(({ field, expected }) => ({ field: cut(field, 255), expected: cut(expected, 600) }));
  return { faults: few, ...(faults.length > most && { more: faults.length - most }) };
};

/** A rejected item of a post, or a rejected mailbox of it. */
export type RejectedItem = Extract<Posted, { status: "rejected" }>;

/** The first rejections of one item, for the answer to a post of `items`. In the last, `more` counts the faults left out. */
export const fewRejections = (rejections: readonly RejectedItem[], items: number): RejectedItem[] => {
  let left = Math.max(mostOfItem, Math.floor(mostFaults / items));
  let more = rejections.reduce((sum, { errors }) => sum + errors.length, 0);
  const few = rejections.slice(0, left).flatMap((rejection) => {
    const { faults: errors } = fewFaults(rejection.errors, left);
    left -= errors.length;
    more -= errors.length;
    return errors.length > 0 ? [{ ...rejection, errors }] : [];
  });
  return few.map((one, index) => (more > 0 && index === few.length - 1 ? { ...one, more } : one));
};

/** The first 100 ids of a post, for a line of the log; `moreIds` counts the others. */
export const fewIds = (ids: readonly string[] = []): { ids?: string[]; moreIds?: number } => ({
  ...(ids.length > 0 && { ids: ids.slice(0, mostIds) }),
  ...(ids.length > mostIds && { moreIds: ids.length - mostIds }),
});
