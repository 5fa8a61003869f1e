declare module "dynalite" {
  /** A DynamoDB on LevelDB, in memory unless it has a path. */
  const dynalite: (options: { createTableMs?: number; deleteTableMs?: number }) => import("node:http").Server;
  export = dynalite;
}
