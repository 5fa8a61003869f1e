import { type Draw, draws } from "../simulation/draws.ts";
import { type CoreSetup, clockOf, type Notice, type Real, runCore } from "./cores.ts";

/** How posts travel from a core to the bridge. */
export type Way = {
  /** The processes of a notification's contacts take so long at most, in any order. */
  spreadSeconds: number;
  /** This share comes later, by so many seconds at most. */
  late: { share: number; seconds: number };
  twice: number;
  lost: number;
  lostRecoveries: number;
  /** All that is issued in such a time comes at its end. */
  spools: { monitor: string; from: number; to: number; inOrder: boolean }[];
  /** How many posts have a wrong clock, process start or number. */
  odd: number;
};

export type Setup = {
  cores: CoreSetup[];
  way: Way;
  /** Times in which the relay cannot be reached. */
  relayAway: { from: number; to: number }[];
};

/** The wrong values of a post, in place of what the core said. */
type Odd = Partial<Notice["macros"] & { ps: number }>;

/** One post as it arrives: `t` is the bridge's second. */
export type Post = {
  t: number;
  notice: Notice;
  to: string[];
  odd?: Odd;
  /** The monitor's clock when it was posted, if the post says so. */
  sent?: number;
};

/** All that happens to the bridge, and the truth behind it. */
export type History = {
  mode: string;
  seed: number;
  posts: Post[];
  relayAway: { from: number; to: number }[];
  reals: Real[];
  /** Whether a core went back to an older memory. */
  crashes: boolean;
};

const year = 365 * 86_400;

const oddOf = ({ macros, ps }: Notice, draw: Draw): Odd =>
  draw.of<Odd>([
    { mt: macros.mt + year },
    { mt: macros.mt + draw.between(2, 30) * 86_400 },
    { mt: Math.max(0, macros.mt - year) },
    { mt: Math.max(0, macros.mt - draw.between(3_600, 50_000)) },
    ...(ps > 0 ? [{ ps: macros.mt + year }, { ps: macros.mt + year, mt: macros.mt + year }] : []),
    ...(typeof macros.nid === "number" ? [{ nid: 999_999_999_999_999 }] : []),
  ]);

/** Runs the cores of a setup, and lets their notifications travel. */
export const historyOf = (mode: string, seed: number, { cores, way, relayAway }: Setup): History => {
  const serials = { notice: 1, real: 1 };
  const runs = cores.map((core) => runCore(core, draws(seed, `core ${core.monitor}`), serials));
  const posts: Post[] = [];
  // Half of the monitors have a shim that says when it posts.
  const dated = new Map(
    cores
      .filter(({ monitor, family }) => family !== "curl" && draws(seed, `dated ${monitor}`).chance(0.5))
      .map((core) => [core.monitor, core]),
  );
  for (const notice of runs.flatMap(({ notices }) => notices))
    for (const contact of notice.contacts) {
      const draw = draws(seed, `way ${notice.serial} ${contact.name}`);
      const share = notice.type === "RECOVERY" ? Math.max(way.lost, way.lostRecoveries) : way.lost;
      if (draw.chance(share)) continue;
      const spool = way.spools.find(
        ({ monitor, from, to }) => monitor === notice.monitor && from <= notice.issued && notice.issued < to,
      );
      const spread = draw() * way.spreadSeconds;
      const late = draw.chance(way.late.share) ? draw() * way.late.seconds : 0;
      const inSpool = spool ? (spool.inOrder ? (notice.serial % 1000) * 0.05 : draw() * 60) : 0;
      const t = (spool ? spool.to + inSpool : notice.issued + late) + spread;
      const post: Post = { t, notice, to: contact.mailboxes };
      posts.push(post);
      if (draw.chance(way.twice)) posts.push({ ...post, t: t + draw.of([0.3, 5, 90, 900]) });
    }
  const draw = draws(seed, "odd");
  for (let count = 0; count < way.odd && posts.length > 0; count++) {
    const one = draw.of(posts);
    one.odd = oddOf(one.notice, draw);
  }
  for (const post of posts) {
    post.t = Math.round(post.t * 1000) / 1000;
    const core = dated.get(post.notice.monitor);
    const wrong = (post.odd?.mt ?? post.notice.macros.mt) - post.notice.macros.mt;
    if (core) post.sent = clockOf(core, post.t) + wrong;
  }
  posts.sort((a, b) => a.t - b.t);
  return {
    mode,
    seed,
    posts,
    relayAway,
    reals: runs.flatMap(({ reals }) => reals),
    crashes: cores.some(({ restarts }) => restarts.some(({ memory }) => memory === "crashes")),
  };
};
