import { newRoute, type RouteState, storedRoute } from "../../deliver/breaker.ts";
import { type Heartbeat, newHeartbeat } from "../heartbeat.ts";
import { cursorOf, type Notes, readCursor } from "../ledger.ts";
import type { Rejection } from "../rejection.ts";
import { noteOf, parse, type Row, type SqlEngine, type Value } from "./engine.ts";

/** The next step of a document: its first row, or one on the revision that was read. */
const write = (
  engine: SqlEngine,
  table: "route" | "heartbeat" | "rejection",
  revision: number,
  key: Record<string, string>,
  columns: Record<string, Value>,
): boolean => {
  const [names, changed] = [Object.keys(key), Object.keys(columns)];
  const [keys, values] = [Object.values(key), Object.values(columns)];
  if (revision === 0) {
    const all = [...names, ...changed];
    const insert = `INSERT INTO ${table} (${all.join(", ")}, revision)
      VALUES (${all.map(() => "?").join(", ")}, 1) ON CONFLICT DO NOTHING`;
    return engine.run(insert, ...keys, ...values) > 0;
  }
  const update = `UPDATE ${table} SET ${changed.map((name) => `${name} = ?`).join(", ")}, revision = revision + 1
    WHERE ${names.map((name) => `${name} = ?`).join(" AND ")} AND revision = ?`;
  return engine.run(update, ...values, ...keys, revision) > 0;
};

const routeOf = (row: Row): RouteState => ({
  ...storedRoute(parse(row)),
  route: String(row.route),
  revision: Number(row.revision),
});

export const notesIn = (engine: SqlEngine): Notes => ({
  route: async (name) =>
    engine.all`SELECT * FROM route WHERE route = ${name}`.map(routeOf)[0] ?? newRoute(name),
  writeRoute: async ({ route, revision, ...body }) =>
    write(engine, "route", revision, { route }, { body: JSON.stringify(body) }),
  routes: async () => engine.all("SELECT * FROM route ORDER BY route").map(routeOf),
  heartbeat: async (site, monitor) => {
    const [row] = engine.all`SELECT * FROM heartbeat WHERE site = ${site} AND monitor = ${monitor}`;
    return row ? noteOf<Heartbeat>(row) : newHeartbeat(site, monitor);
  },
  writeHeartbeat: async ({ revision, ...body }) => {
    const { site, monitor, at } = body;
    return write(engine, "heartbeat", revision, { site, monitor }, { at, body: JSON.stringify(body) });
  },
  heartbeats: async () => engine.all("SELECT * FROM heartbeat ORDER BY site, monitor").map(noteOf<Heartbeat>),
  rejection: async (site, id) =>
    engine.all`SELECT * FROM rejection WHERE site = ${site} AND id = ${id}`.map(noteOf<Rejection>)[0],
  writeRejection: async ({ revision, ...body }) => {
    const { site, id, last, told } = body;
    const columns = { last, untold: told ? null : 1, body: JSON.stringify(body) };
    return (engine.together ?? engine.transaction)(() =>
      write(engine, "rejection", revision, { site, id }, columns),
    );
  },
  rejections: async ({ site, before, limit }) => {
    const [at, name] = readCursor(before);
    const rows = engine.all`SELECT revision, body FROM rejection
      WHERE site = ${site} AND (last, id) < (${at}, ${name}) ORDER BY last DESC, id DESC LIMIT ${limit}`;
    const items = rows.map(noteOf<Rejection>);
    const end = items.at(-1);
    return { items, next: end && items.length === limit ? cursorOf(end.last, end.id) : undefined };
  },
  untoldRejections: async (limit) =>
    engine.all`SELECT revision, body FROM rejection
      WHERE untold IS NOT NULL ORDER BY site, id LIMIT ${limit}`.map(noteOf<Rejection>),
});
