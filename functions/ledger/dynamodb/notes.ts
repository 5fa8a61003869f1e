import { newRoute, type RouteState, storedRoute } from "../../deliver/breaker.ts";
import { type Heartbeat, newHeartbeat } from "../heartbeat.ts";
import type { Notes } from "../ledger.ts";
import type { Rejection } from "../rejection.ts";
import {
  bodyOf,
  expiresAfter,
  type Item,
  type Key,
  keyIn,
  noteOf,
  number,
  parse,
  sortable,
  text,
} from "./items.ts";
import { advance, find, findAll, inOrder, newest, newMark, search, type Table } from "./table.ts";

export const routeKey = (sk: string): Key => ({ pk: "routes", sk });
const heartbeatKey = (site: string, monitor: string): Key => ({ pk: "heartbeats", sk: `${site} ${monitor}` });
const rejectionKey = (site: string, id: string): Key => ({ pk: "rejected", sk: `${site} ${id}` });

const routeOf = (item: Item): RouteState => ({
  ...storedRoute(parse(item)),
  route: text(item, "sk"),
  revision: number(item, "revision"),
});

/** All items with this partition key. */
const allOf = async (table: Table, pk: string): Promise<Item[]> =>
  (await search(table, undefined, ["pk", pk], { ConsistentRead: true })).Items ?? [];

export const notesIn = (table: Table): Notes => ({
  route: async (name) => {
    const item = await find(table, routeKey(name));
    return item ? routeOf(item) : newRoute(name);
  },
  writeRoute: ({ route, revision, ...body }) =>
    advance(table, newMark(), routeKey(route), revision, { body: bodyOf(body) }),
  routes: async () => (await allOf(table, "routes")).map(routeOf),
  heartbeat: async (site, monitor) => {
    const item = await find(table, heartbeatKey(site, monitor));
    return item ? noteOf<Heartbeat>(item) : newHeartbeat(site, monitor);
  },
  writeHeartbeat: ({ revision, ...body }) =>
    advance(table, newMark(), heartbeatKey(body.site, body.monitor), revision, {
      body: bodyOf(body),
      expires: expiresAfter(body.at),
    }),
  heartbeats: async () => (await allOf(table, "heartbeats")).map(noteOf<Heartbeat>),
  rejection: async (site, id) => {
    const item = await find(table, rejectionKey(site, id));
    return item && noteOf<Rejection>(item);
  },
  writeRejection: ({ revision, ...body }) => {
    const { site, id, first, last, told } = body;
    return advance(table, newMark(), rejectionKey(site, id), revision, {
      body: bodyOf(body),
      site_ending: `${site} rejected`,
      at: sortable(last, id),
      due: told ? undefined : "rejected",
      due_at: told ? undefined : first,
      expires: expiresAfter(last),
    });
  },
  rejections: async ({ site, before, limit }) => {
    const key = ["site_ending", `${site} rejected`] as const;
    const { page, next } = await newest(table, "ending", key, "at", before, limit);
    return { items: page.flatMap(({ item }) => (item ? [noteOf<Rejection>(item)] : [])), next };
  },
  untoldRejections: async (limit) => {
    const { Items = [] } = await search(table, "due", ["due", "rejected"], { Limit: limit });
    const keys = Items.map(keyIn);
    const rejections = inOrder(keys, await findAll(table, keys)).map(noteOf<Rejection>);
    // An index may lag behind.
    return rejections.filter(({ told }) => !told);
  },
});
