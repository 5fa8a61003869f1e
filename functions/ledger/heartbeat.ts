/** When a monitor last said that it lives. Times are Unix milliseconds of the bridge. */
export type Heartbeat = {
  site: string;
  monitor: string;
  /** The revision of the ledger's row; 0 if there is none yet. */
  revision: number;
  at: number;
  /** It has been silent since then, and the operators are to be told or, at last, were told. */
  silent?: { since: number; told?: true };
};

/** A monitor that never said that it lives. */
export const newHeartbeat = (site: string, monitor: string): Heartbeat => ({
  site,
  monitor,
  revision: 0,
  at: 0,
});

/**
 * Whether a monitor that was heard has been silent for too long, or its silence is over: the heartbeat with that
 * noted, before anybody is told. A bridge that was down has heard nobody: silence counts from `awakeSince`.
 */
export const afterListening = (
  heartbeat: Heartbeat,
  afterSeconds: number,
  awakeSince: number,
  now: number,
): Heartbeat => {
  const { at, silent } = heartbeat;
  if (silent || now - Math.max(at, awakeSince) <= afterSeconds * 1000) return heartbeat;
  return { ...heartbeat, silent: { since: at } };
};

/** Whether a monitor is silent now. Once it is heard that is over, whether or not the operators were told. */
export const isSilent = ({ at, silent }: Heartbeat): boolean => silent !== undefined && at <= silent.since;

/** The notice to operators about a heartbeat, and the heartbeat after that notice. */
export const toTell = (
  heartbeat: Heartbeat,
): { silent: boolean; since: number; told: Heartbeat } | undefined => {
  const { silent, ...rest } = heartbeat;
  if (!silent) return undefined;
  const { since } = silent;
  // Operators who heard of the silence hear of its end, even if the end came first.
  if (!silent.told) return { silent: true, since, told: { ...rest, silent: { since, told: true } } };
  return rest.at > since ? { silent: false, since, told: rest } : undefined;
};
