import { cut, type Fault } from "../alert.ts";
import type { Posted } from "./answers.ts";

/** So many faults are in an answer and in a line of the log; the others are counted. */
const mostFaults = 20;
/** So many of each item are in the answer to a batch: the script tells its user what is wrong with each. */
const mostOfItem = 5;
const mostIds = 100;

/** The first faults, with texts of some hundred bytes; `more` are left out. */
export const fewFaults = (
  faults: readonly Fault[],
  most = mostFaults,
): { faults: Fault[]; more?: number } => {
  const few = faults
    .slice(0, most)
    .map(({ field, expected }) => ({ field: cut(field, 255), expected: cut(expected, 600) }));
  return { faults: few, ...(faults.length > most && { more: faults.length - most }) };
};

/** Of an answer to a post: an item, or a mailbox of it, that is rejected. */
export type RejectedItem = Extract<Posted, { status: "rejected" }>;

/** The rejections of one item of a post of `items` that its answer has; the last one says how many faults it has not. */
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

/** The first ids of a post, for a line of the log. */
export const fewIds = (ids: readonly string[] = []): { ids?: string[]; moreIds?: number } => ({
  ...(ids.length > 0 && { ids: ids.slice(0, mostIds) }),
  ...(ids.length > mostIds && { moreIds: ids.length - mostIds }),
});
