import { registerHooks } from "node:module";

/** A fault for the bridge: a text of one of its files, and what stands there instead. */
export type Plant = { breaks: string; file: string; text: string; instead: string };

/** Each must be found by the simulation, or that would find no such fault of ours either. */
export const plants: Record<string, Plant> = {
  "acknowledges-before-settling": {
    breaks: "a message is removed before the ledger has its end",
    file: "functions/pipeline/finish.ts",
    text: "await settle(ledger, queued, mine,",
    instead: `((...all) => {
        settle(...all).catch(() => undefined);
        return end;
      })(ledger, queued, mine,`,
  },
  "acknowledges-in-a-catch": {
    breaks: "a message is removed though working on it failed",
    file: "functions/queue/queue.ts",
    text: "failed(message, error);\n        return;",
    instead:
      'failed(message, error);\n        dispositions.set(message, { message: "remove" });\n        return;',
  },
  "settles-before-sending": {
    breaks: "the ledger has a mail as sent before it is",
    file: "functions/pipeline/pipeline.ts",
    text: "const handover = await deliver(",
    instead: `await (await import("../ledger/page.ts")).settle(ledger, queued, begun.mine, { attempts: [] }, { at: parts.clock(), as: "mailed", reason: "" }, (entry) => entry);
      const handover = await deliver(`,
  },
  "forgets-the-rest-of-a-group": {
    breaks: "what follows a message that is given back is removed",
    file: "functions/queue/queue.ts",
    text: "dispositions.set(later, disposition);",
    instead: 'dispositions.set(later, { message: "remove" });',
  },
  "goes-on-after-a-give-back": {
    breaks: "the next of its group is worked on though one was given back",
    file: "functions/queue/queue.ts",
    text: "for (const later of group.slice(index + 1)) dispositions.set(later, disposition);\n        return;",
    instead: "",
  },
  "loses-a-timer": {
    breaks: "the sweep notes what is not due yet as handed over",
    file: "functions/pipeline/sweep.ts",
    text: "one.due <= now && (!partly || given.has(id)) ? { ...one, queued: true } : one",
    instead: "{ ...one, queued: true }",
  },
  "loses-a-timer-half-taken": {
    breaks: "the sweep notes what the queue did not take",
    file: "functions/pipeline/sweep.ts",
    text: 'if (!taken.every(Boolean)) throw new Error("the queue took only some of the alerts that are due");',
    instead: "",
  },
  "ignores-a-revision": {
    breaks: "an entry is written over what another worker wrote",
    file: "functions/ledger/sql/entries.ts",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    text: "WHERE object_key = ${key} AND revision = ${revision}",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    instead: "WHERE object_key = ${key} AND (revision = ${revision} OR true)",
  },
  "ignores-a-claim": {
    breaks: "what another worker may have sent is decided anew",
    file: "functions/pipeline/decided.ts",
    text: "(!claim && !waiting && attempts.length === 0)",
    instead: "(!waiting && attempts.length === 0)",
  },
  "forgets-lost-after-data": {
    breaks: "a mail whose reply was lost counts as not taken",
    file: "functions/deliver/refusal.ts",
    text: 'lostAfterData: step === "after-data"',
    instead: "lostAfterData: false",
  },
  "new-message-id": {
    breaks: "each attempt has a Message-ID of its own",
    file: "functions/compose/mail.ts",
    text: '  `<${fingerprint("mail"',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of one.
    instead: '  `<${(globalThis.attempts = (globalThis.attempts ?? 0) + 1)}${fingerprint("mail"',
  },
  "drops-by-receive-count": {
    breaks: "a message that was handed out before is taken for a copy",
    file: "functions/pipeline/pipeline.ts",
    text: "const reading = readQueuedAlert(message.body);",
    instead: `if (message.receiveCount > 1) return { message: "remove" };
      const reading = readQueuedAlert(message.body);`,
  },
  "recovery-overtakes": {
    breaks: "each alert is a group of its own",
    file: "functions/queue/message.ts",
    text: "group: messageGroup(site, alert, contact)",
    instead: "group: messageGroup(site, alert, id)",
  },
  "digest-loses-a-member": {
    breaks: "an alert whose worker died before it was in its digest is in none",
    file: "functions/pipeline/begin.ts",
    text: 'if (ending.as === "digested" && digest)',
    instead: "if (false)",
  },
  "answers-before-the-queue": {
    breaks: "intake answers 202 before the queue has it",
    file: "functions/intake/alerts.ts",
    text: "taken = await queue.send(part.map(toMessage));",
    instead: "taken = part.map(() => true);\n      queue.send(part.map(toMessage)).catch(() => undefined);",
  },
  "answers-for-all": {
    breaks: "intake answers 202 though the queue took only some",
    file: "functions/intake/alerts.ts",
    text: "if (!taken.every(Boolean))",
    instead: "if (!taken.some(Boolean))",
  },
  "sends-out-of-time": {
    breaks: "a mail is begun when another worker may have it",
    file: "functions/deliver/routes.ts",
    text: "if (until - at < leastAttemptMilliseconds) return { until: at, reason: noTime };",
    instead: "",
  },
  "buries-for-our-fault": {
    breaks: "a refusal of our sender is taken for the recipient's",
    file: "functions/deliver/refusal.ts",
    text: 'us: { result: "unauthorised" }',
    instead: 'us: { result: "refused", about: "recipient" }',
  },
  "asks-one-route": {
    breaks: "what one route refuses is offered to no other",
    file: "functions/deliver/routes.ts",
    text: "attempts.length === order.length && attempts.every(",
    instead: "attempts.some(",
  },
  "holds-until-the-same-time": {
    breaks: "what was held is held again by the name that the queue knows",
    file: "functions/pipeline/admit.ts",
    text: "if (waiting && now < waiting.due) {",
    instead: "if (waiting && !waiting.queued && now < waiting.due) {",
  },
  "makes-a-recovery-again": {
    breaks: "each contact's notification makes all recoveries anew",
    file: "functions/pipeline/decided.ts",
    text: "madeOnce(ledger, page, await heardVerdict(ledger, page, queued, policy, now))",
    instead: "await heardVerdict(ledger, page, queued, policy, now)",
  },
};

const root = new URL("../../", import.meta.url).href;

/** From now on a module of ours whose URL has `?plant=NAME` is that with the fault, and so is all that it imports. */
export const plantInModules = (planted: Record<string, Plant> = plants): void => {
  registerHooks({
    resolve: (specifier, context, next) => {
      const found = next(specifier, context);
      const plant = context.parentURL && new URL(context.parentURL).searchParams.get("plant");
      const ours = found.url.startsWith(root) && !found.url.includes("/node_modules/");
      return plant && ours ? { ...found, url: `${found.url}?plant=${plant}` } : found;
    },
    load: (url, context, next) => {
      const loaded = next(url, context);
      const [path = "", name] = url.split("?plant=");
      const plant = name === undefined ? undefined : planted[name];
      if (!plant || path !== root + plant.file) return loaded;
      const parts = String(loaded.source).split(plant.text);
      if (parts.length !== 2)
        throw new Error(`${name}: ${plant.file} has its text ${parts.length - 1} times`);
      return { ...loaded, source: parts.join(plant.instead) };
    },
  });
};
