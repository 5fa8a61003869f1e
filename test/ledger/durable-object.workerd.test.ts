import { env } from "cloudflare:workers";
import { durableObjectLedger, type LedgerStub } from "../../functions/ledger/durable-object.ts";
import { contract } from "./contract.ts";

const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<LedgerStub> };

let count = 0;
contract("durable object", async () => {
  const name = `ledger-${count++}`;
  const reopen = () => durableObjectLedger(() => LEDGER.getByName(name));
  const ledger = reopen();
  return { ledger, reopen, forget: (before) => ledger.prune(before, 10) };
});
