import { registerHooks } from "node:module";

const points = new URL("./points.ts", import.meta.url).href;
const replaced = /\/(queue\/sqlite|ledger\/sqlite|runtime\/transports)\.ts$|\/@hono\/node-server\//;

// `node --import` of this file gives runtime/node.ts and bridge.ts the parts of ./points.ts; nothing of it is in the program itself.
registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context);
    const ofBridge = /\/functions\/runtime\/(node|bridge)\.ts$/.test(context.parentURL ?? "");
    return ofBridge && replaced.test(resolved.url) ? next(points, context) : resolved;
  },
});
