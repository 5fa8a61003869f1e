import { registerHooks } from "node:module";

const points = new URL("./points.ts", import.meta.url).href;
const replaced = /\/(queue\/sqlite|ledger\/sqlite|runtime\/transports)\.ts$|\/@hono\/node-server\//;

// `node --import` of this file gives runtime/node.ts the parts of ./points.ts; nothing of it is in the program itself.
registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context);
    const ofBridge = context.parentURL?.endsWith("/functions/runtime/node.ts");
    return ofBridge && replaced.test(resolved.url) ? next(points, context) : resolved;
  },
});
