/** Each round exactly one competing writer succeeds, so this bound is never reached. */
const mostRounds = 1000;

/** Repeats a step that reads and writes until it has a result; undefined is a conflict. `what` is named in the error. */
export const untilWritten = async <T>(what: string, step: () => Promise<T | undefined>): Promise<T> => {
  for (let rounds = 0; rounds < mostRounds; rounds++) {
    const result = await step();
    if (result !== undefined) return result;
  }
  throw new Error(`${what} changed ${mostRounds} times while it was written`);
};
