import { setImmediate, setTimeout } from "node:timers/promises";
import type { Context, EventBridgeEvent, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { readFeedback } from "../deliver/ses-events.ts";
import { isSilent } from "../ledger/heartbeat.ts";
import { noteReturned } from "../operator/returned.ts";
import { batchesOf, workOn } from "../pipeline/drain.ts";
import { type Disposition, idIn, type ReceivedMessage } from "../queue/queue.ts";
import { failing, type Report } from "../report/event.ts";
import { bridge } from "./bridge.ts";
import { lambdaSettings, type OnLambda, storesOf, toLog } from "./lambda.ts";
import { madeOf } from "./made-of.ts";
import { parameterStore } from "./ssm.ts";

const clock = () => Date.now();
/** Kept back from an invocation's time, to answer before Lambda kills the process. */
const answerMilliseconds = 5_000;
/** Finished messages are removed so often while the work on others of their batch goes on. */
const removeMilliseconds = 1_000;
/** A mail that takes longer is slow: its invocation then receives further messages itself. */
const slowMilliseconds = 5_000;
/** With less time left than this, an invocation receives no more messages: a mail could be cut off. */
const leastLeftMilliseconds = 100_000;
/** So many further messages may be in hand in one invocation. */
const mostInHand = 40;

const log = toLog(clock);
const settings = await lambdaSettings(process.env, "lambda-worker", parameterStore(process.env), clock, log);
const report: Report = (event) => {
  if (event.event === "attempt-failed" && event.result === "unauthorised") settings.doubt();
  log(event);
};

const bridgeOf = madeOf((known: OnLambda) => {
  const stores = storesOf(known, clock);
  return { known, ...stores, ...bridge({ settings: known, ...stores, clock, report }) };
});
type Bridge = ReturnType<typeof bridgeOf>;

let last: Bridge | undefined;
/** Queue, ledger and routes by the settings of now. Once these are others, routes may be probed at once. */
const bridgeOfNow = async (): Promise<Bridge> => {
  const now = bridgeOf(await settings.current());
  if (last && last !== now) await now.useRoutes(true);
  last = now;
  return now;
};

const failed = failing(report);

const messageOf = ({ receiptHandle, body, attributes, messageId }: SQSRecord, visibleAgainAt: number) => ({
  receipt: receiptHandle,
  group: attributes.MessageGroupId ?? messageId,
  body,
  receiveCount: Number(attributes.ApproximateReceiveCount),
  visibleAgainAt,
});

/**
 * Whether SQS hides a message for as long as we may work on it. A batch that is throttled is tried again until its
 * messages are about to be visible, and only of a first receive SQS tells the time.
 */
const isJustReceived = ({ attributes }: SQSRecord): boolean =>
  attributes.ApproximateReceiveCount === "1" &&
  clock() - Number(attributes.ApproximateFirstReceiveTimestamp) < answerMilliseconds;

/**
 * Receives and works on further messages while an invocation waits for a slow mail. There are few invocations: otherwise
 * a few slow mails of one site would stop all sites.
 */
const workMeanwhile = async (
  { queue, handle }: Bridge,
  batch: Promise<unknown>,
  leftMilliseconds: () => number,
): Promise<void> => {
  const batches = batchesOf(queue, mostInHand, handle, failed);
  const isOver = () =>
    Promise.race([Promise.all([batch, batches.over()]).then(() => true), setImmediate(false)]);
  await Promise.race([batch, setTimeout(slowMilliseconds)]);
  for (;;) {
    const max = await batches.room();
    if (leftMilliseconds() < leastLeftMilliseconds || (await isOver())) break;
    const visibilityTimeoutSeconds = Math.floor(leftMilliseconds() / 1000);
    await batches.receive({ max, waitSeconds: 1, visibilityTimeoutSeconds });
  }
  await batches.over();
};

/**
 * Works on one batch of an SQS event source with ReportBatchItemFailures. Lambda deletes each message that is not in
 * the answer; a message that is to come again is in it, with all later ones of its group. A group does not wait for
 * the slow mails of other groups: its messages are given back at once, or removed within a second. While a mail is
 * slow, the invocation works on further messages of the queue.
 */
export const worker = async (event: SQSEvent, context: Context): Promise<SQSBatchResponse> => {
  const made = await bridgeOfNow();
  const { queue, handle } = made;
  const leftMilliseconds = () => context.getRemainingTimeInMillis() - answerMilliseconds;
  const visibleAgainAt = clock() + leftMilliseconds();
  const batch = event.Records.map((record) => [messageOf(record, visibleAgainAt), record] as const);
  const hiddenSeconds = context.getRemainingTimeInMillis() / 1000;
  await Promise.all(
    batch.map(([message, record]) => isJustReceived(record) || queue.giveBack(message, hiddenSeconds)),
  );
  const again = new Set<ReceivedMessage>();
  let done: ReceivedMessage[] = [];
  const finish = async (message: ReceivedMessage, disposition: Disposition) => {
    try {
      if (disposition.message === "give-back") await queue.giveBack(message, disposition.afterSeconds);
      if (disposition.message === "bury") await queue.bury(message, disposition.reason);
      if (disposition.message === "remove") done.push(message);
      if (disposition.message === "give-back") again.add(message);
    } catch (error) {
      // It comes again when the queue's visibility timeout is over.
      again.add(message);
      failed("disposing of a message", error, idIn(message));
    }
  };
  const worked = workOn(
    batch.map(([message]) => message),
    handle,
    (message, error) => failed("handling an alert", error, idIn(message)),
    finish,
  );
  const over = Promise.all([worked, workMeanwhile(made, worked, leftMilliseconds)]).then(() => true);
  const removeDone = async () => {
    const these = done;
    done = [];
    try {
      await queue.remove(these);
    } catch (error) {
      // Lambda deletes them at the end.
      failed("removing messages before the end of their batch", error);
    }
  };
  // Lambda deletes at the end alone, and until then SQS hands out nothing more of a group. A timer is always under way: if
  // Node had nothing to wait for, Lambda would take that for an answer in which nothing has failed, and delete all.
  while (!(await Promise.race([over, setTimeout(removeMilliseconds)])))
    await Promise.race([over, removeDone()]);
  // Lambda freezes the process until the next batch: a session that is kept would be found dead.
  made.close();
  return {
    batchItemFailures: batch
      .filter(([message]) => again.has(message))
      .map(([, { messageId }]) => ({ itemIdentifier: messageId })),
  };
};

/** Puts what is due on the queue, tells operators of routes, and probes those that no mail comes to; each minute. */
export const sweep = async (_event: unknown, context: Context): Promise<void> => {
  const now = await bridgeOfNow();
  const { known, ledger } = now;
  const used = await now.useRoutes(false);
  const due = await now.sweep();
  const heartbeats = known.heartbeatAfterSeconds === undefined ? [] : await ledger.heartbeats();
  const silent = heartbeats.filter(isSilent).length;
  report({ event: "swept", due, silent, down: used.filter((route) => route.down).length });
  const limit = AbortSignal.timeout(Math.max(context.getRemainingTimeInMillis() - answerMilliseconds, 1));
  await now.probe(limit);
};

/** Adds to an alert's story what SES tells of its mail by EventBridge: bounces, delays and complaints. */
export const feedback = async ({ detail }: EventBridgeEvent<string, unknown>): Promise<void> => {
  const reading = readFeedback(detail);
  if (!reading.ok) {
    const faults = reading.faults.map(({ field, expected }) => `${field}, expected ${expected}`).join("; ");
    return failed("reading an event of SES", faults);
  }
  const { site, id, messageId, returned } = reading.value;
  const { known, queue, ledger } = await bridgeOfNow();
  const record = await ledger.story(site, id);
  const ours = record?.attempts.some(
    ({ outcome }) => outcome.result === "accepted" && outcome.queueId === messageId,
  );
  // Lambda gives an event again that came before the ledger knew of the mail.
  if (!record || !ours) throw new Error(`the ledger knows no mail ${messageId} of alert ${id}`);
  const { operators } = known;
  await noteReturned({ ledger, queue, operators, clock, report }, record, returned);
};
