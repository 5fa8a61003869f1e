import { newRoute, type RouteState, storedRoute } from "../../deliver/breaker.ts";
import { type Heartbeat, newHeartbeat } from "../heartbeat.ts";
import type { Listing, Notes } from "../ledger.ts";
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

const writeRejection = (table: Table, { revision, ...body }: Rejection): Promise<boolean> => {
  const { site, id, first, last, told } = body;
  return advance(table, newMark(), rejectionKey(site, id), revision, {
    body: bodyOf(body),
    site_ending: `${site} rejected`,
    at: sortable(last, id),
    due: told ? undefined : "rejected",
    due_at: told ? undefined : first,
    expires: expiresAfter(last),
  });
};

const rejectionsOf = async (
  table: Table,
  { site, before, limit }: Parameters<Notes["rejections"]>[0],
): Promise<Listing<Rejection>> => {
  const key = ["site_ending", `${site} rejected`] as const;
  const { page, full } = await newest(table, "ending", key, "at", before, limit);
  const items = page.flatMap(({ item }) => (item ? [noteOf<Rejection>(item)] : []));
  return { items, next: full ? page.at(-1)?.cursor : undefined };
};

const untoldRejections = async (table: Table, limit: number): Promise<Rejection[]> => {
  const { Items = [] } = await search(table, "due", ["due", "rejected"], { Limit: limit });
  const keys = Items.map(keyIn);
  // An index may lag behind.
  return inOrder(keys, await findAll(table, keys))
    .map(noteOf<Rejection>)
    .filter(({ told }) => !told);
};

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
  writeRejection: (rejection) => writeRejection(table, rejection),
  rejections: (query) => rejectionsOf(table, query),
  untoldRejections: (limit) => untoldRejections(table, limit),
});
