/** Runs the steps of one key one after the other in this process. A hundred at once would all read again each round. */
export const turns = () => {
  const running = new Map<string, Promise<unknown>>();
  return <T>(key: string, step: () => Promise<T>): Promise<T> => {
    const turn = (running.get(key) ?? Promise.resolve()).then(step, step);
    const over = () => {
      if (running.get(key) === turn) running.delete(key);
    };
    running.set(key, turn);
    turn.then(over, over);
    return turn;
  };
};
