export const tooLate = () => new Error("no answer within the time for this attempt");

/** The result of `work`, or an error once `signal` aborts: `work` itself does not listen to it. */
export const within = async <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
  if (signal.aborted) throw tooLate();
  const { promise: end, reject } = Promise.withResolvers<never>();
  const aborted = () => reject(tooLate());
  signal.addEventListener("abort", aborted);
  return Promise.race([work(), end]).finally(() => signal.removeEventListener("abort", aborted));
};
