import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
  type SQSClientConfig,
} from "@aws-sdk/client-sqs";
import { fingerprint } from "../identity.ts";
import { type OutgoingMessage, putBack } from "./message.ts";
import { type DeadLetter, type Depth, isChosen, mostDeadLetters, type Queue, toDeadLetter } from "./queue.ts";

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
const batchEntries = 10;
const batchBytes = 1_000_000;
/** Dead letters that are put back in their order; SQS shows them in any. */
const mostHeld = 1000;
/** SQS takes 12 hours from the receive on and refuses what is longer: ten minutes are for who had it. */
const longestVisibilitySeconds = 43_200 - 600;

/** A client whose waits all have a limit, the longest for a receive of 20 s. `region` is for URLs that name none. */
export const sqsClient = (queueUrl: string, region: string, credentials?: SQSClientConfig["credentials"]) => {
  const { origin, hostname } = new URL(queueUrl);
  return new SQSClient({
    region: /^sqs\.([a-z0-9-]+)\./.exec(hostname)?.[1] ?? region,
    endpoint: origin,
    credentials,
    requestHandler: {
      connectionTimeout: 3_000,
      requestTimeout: 30_000,
      throwOnRequestTimeout: true,
      // The SDK's handler in workerd takes requestTimeout for the head of an answer alone.
      requestInit: () => ({ signal: AbortSignal.timeout(30_000) }),
    },
  });
};

const batches = (messages: readonly OutgoingMessage[]): OutgoingMessage[][] => {
  const result: OutgoingMessage[][] = [];
  let size = 0;
  for (const message of messages) {
    const bytes = Buffer.byteLength(message.body);
    const last = result.at(-1);
    size += bytes;
    if (last && last.length < batchEntries && size <= batchBytes) last.push(message);
    else {
      result.push([message]);
      size = bytes;
    }
  }
  return result;
};

/** All of them in their order, as many at a time as one request may name. */
const parts = function* <T>(all: readonly T[]): Generator<T[]> {
  for (let start = 0; start < all.length; start += batchEntries) yield all.slice(start, start + batchEntries);
};

const entriesOf = (messages: readonly Pick<Message, "ReceiptHandle">[]) =>
  messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));

/** The first messages of all groups, then all second ones, and so on. */
const rounds = (messages: readonly OutgoingMessage[]): OutgoingMessage[][] => {
  const groups = [...Map.groupBy(messages, ({ group }) => group).values()];
  const length = Math.max(0, ...groups.map((group) => group.length));
  return Array.from({ length }, (_, index) => groups.flatMap((group) => group[index] ?? []));
};

/** A reason as SQS takes it as an attribute: it would refuse the burial, again and again. */
const reasonFor = (reason: string): string =>
  reason
    .slice(0, 1000)
    .toWellFormed()
    .replace(/[^\P{Cc}\n\t]|[\ufffe\uffff]/gu, "\ufffd") || "no reason was given";

/** A dead letter as it was received, and what it says. */
type HeldLetter = Message & { letter: DeadLetter };

/** SQS says so when the message was handed to somebody else or deleted meanwhile. */
const receiptLapsed = ({ name }: Error): boolean =>
  ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"].includes(name);

/**
 * A queue on one SQS FIFO queue, whose redrive policy names its FIFO dead-letter queue. Its maxReceiveCount must be
 * 1000, the most there is, or SQS buries what still has time: the pipeline keeps to some 600 receives.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: an adapter: a method for each call of the port.
export const sqsQueue = (client: SQSClient, queueUrl: string, clock: () => number): Queue => {
  const attributesOf = async (QueueUrl: string, ...AttributeNames: QueueAttributeName[]) => {
    const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames });
    return (await client.send(command)).Attributes ?? {};
  };
  // Never the search itself: in workerd it is of one request, and ends with it, whoever else waits for it.
  let deadLetterUrl: string | undefined;
  const findDeadLetterQueue = async (): Promise<string> => {
    const { RedrivePolicy } = await attributesOf(queueUrl, "RedrivePolicy");
    if (!RedrivePolicy) throw new Error("the SQS queue has no redrive policy: give it a dead-letter queue");
    const { deadLetterTargetArn } = JSON.parse(RedrivePolicy) as { deadLetterTargetArn: string };
    const QueueName = deadLetterTargetArn.split(":").at(-1);
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }));
    if (!QueueUrl) throw new Error("SQS knows no URL of the dead-letter queue that the redrive policy names");
    deadLetterUrl = QueueUrl;
    return QueueUrl;
  };
  const deadLetterQueue = async () => deadLetterUrl ?? findDeadLetterQueue();

  const receiveFrom = async (url: string, options: Parameters<Queue["receive"]>[0]) => {
    const command = new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: options.max,
      WaitTimeSeconds: options.waitSeconds,
      VisibilityTimeout: options.visibilityTimeoutSeconds,
      MessageSystemAttributeNames: ["MessageGroupId", "ApproximateReceiveCount", "SentTimestamp"],
      MessageAttributeNames: ["reason", "group"],
    });
    return (await client.send(command, { abortSignal: options.signal })).Messages ?? [];
  };
  const erase = async (url: string, messages: readonly Pick<Message, "ReceiptHandle">[]) => {
    for (const some of parts(messages)) {
      const command = new DeleteMessageBatchCommand({ QueueUrl: url, Entries: entriesOf(some) });
      const { Failed = [] } = await client.send(command);
      const ours = Failed.find(({ SenderFault }) => !SenderFault);
      if (ours) throw new Error(`SQS did not delete a message: ${ours.Code} ${ours.Message}`);
    }
  };
  const letterOf = ({ Body = "", Attributes, MessageAttributes }: Message): DeadLetter => {
    const reason = MessageAttributes?.reason?.StringValue ?? "received too often";
    return toDeadLetter(Body, reason, Number(Attributes?.SentTimestamp ?? 0));
  };
  const putBackOf = (message: Message): OutgoingMessage => ({
    group: message.MessageAttributes?.group?.StringValue ?? message.Attributes?.MessageGroupId ?? "",
    // AWS's own redrive moves a message to a group that is not its own: an alert tells that itself.
    ...putBack(message.Body ?? "", clock()),
    deduplicationId: fingerprint("redrive", message.ReceiptHandle ?? ""),
  });
  const depthOf = async (url: string): Promise<Depth> => {
    const { ApproximateNumberOfMessages: waiting, ApproximateNumberOfMessagesNotVisible: handedOut } =
      await attributesOf(url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible");
    return { waiting: Number(waiting ?? 0), handedOut: Number(handedOut ?? 0) };
  };
  /** Makes messages visible again at once; those of lapsed receipts are so already. */
  const release = async (url: string, messages: readonly Message[]) => {
    for (const some of parts(messages)) {
      const Entries = entriesOf(some).map((entry) => ({ ...entry, VisibilityTimeout: 0 }));
      await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries }));
    }
  };
  /** Holds the wanted dead letters while `use` has them, oldest first; what it does not erase is visible again then. */
  const withDeadLetters = async <T>(
    wanted: (letter: DeadLetter) => boolean,
    most: number,
    use: (held: readonly HeldLetter[], eraseThese: (held: readonly HeldLetter[]) => Promise<void>) => T,
  ): Promise<Awaited<T>> => {
    const url = await deadLetterQueue();
    const seen = new Map<string | undefined, Message>();
    const held: HeldLetter[] = [];
    try {
      const { waiting } = await depthOf(url);
      while (held.length < most) {
        // A receive that does not wait asks some of SQS's servers alone, and may find none of a few messages.
        const waitSeconds = seen.size < waiting ? 1 : 0;
        const options = { max: batchEntries, waitSeconds, visibilityTimeoutSeconds: 30 };
        const letters = await receiveFrom(url, options);
        const fresh = letters.filter(({ MessageId }) => !seen.has(MessageId));
        for (const letter of letters) seen.set(letter.MessageId, letter);
        if (fresh.length === 0) break;
        const read = fresh.map((message) => ({ ...message, letter: letterOf(message) }));
        held.push(...read.filter(({ letter }) => wanted(letter)));
      }
      const since = ({ alert, deadAt }: DeadLetter) => alert?.receivedAt ?? deadAt;
      held.sort(({ letter: a }, { letter: b }) => since(a) - since(b) || a.deadAt - b.deadAt);
      return await use(held.slice(0, most), async (these) => {
        await erase(url, these);
        for (const { MessageId } of these) seen.delete(MessageId);
      });
    } finally {
      await release(url, [...seen.values()]);
    }
  };

  const send: Queue["send"] = async (messages) => {
    const taken = new Set<OutgoingMessage>();
    const refused = new Set<string>();
    const sendBatch = async (batch: readonly OutgoingMessage[]) => {
      const Entries = batch.map(({ group, deduplicationId, body }, index) => ({
        Id: String(index),
        MessageGroupId: group,
        MessageDeduplicationId: deduplicationId,
        MessageBody: body,
      }));
      const command = new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries });
      const { Failed = [] } = await client.send(command);
      const failed = new Set(Failed.map(({ Id }) => Id));
      for (const [index, message] of batch.entries())
        if (failed.has(String(index))) refused.add(message.group);
        else taken.add(message);
    };
    // Requests overtake each other: no two messages of a group are under way at once.
    for (const round of rounds(messages))
      await Promise.all(batches(round.filter(({ group }) => !refused.has(group))).map(sendBatch));
    return messages.map((message) => taken.has(message));
  };

  const putSomeBack = (wanted: (letter: DeadLetter) => boolean): Promise<number> =>
    withDeadLetters(wanted, mostHeld, async (held, eraseThese) => {
      // A few at a time: who dies in between has put back twice no more than these.
      let count = 0;
      for (const these of parts(held)) {
        const taken = await send(these.map(putBackOf));
        const gone = these.filter((_, index) => taken[index]);
        await eraseThese(gone);
        count += gone.length;
        if (gone.length < these.length)
          throw new Error(`SQS took ${count} of ${held.length} dead letters back`);
      }
      return count;
    });

  const deadLetters: Queue["deadLetters"] = (limit, site) => {
    const wanted = ({ alert }: DeadLetter) => site === undefined || (alert?.site ?? site) === site;
    return withDeadLetters(wanted, limit, (held) => held.map(({ letter }) => letter));
  };

  return {
    send,
    receive: async (options) => {
      const visibleAgainAt = clock() + options.visibilityTimeoutSeconds * 1000;
      const messages = await receiveFrom(queueUrl, options).catch((error) => {
        if (options.signal?.aborted) return [];
        throw error;
      });
      return messages.map(({ Body = "", ReceiptHandle = "", Attributes }) => ({
        receipt: ReceiptHandle,
        group: Attributes?.MessageGroupId ?? "",
        body: Body,
        receiveCount: Number(Attributes?.ApproximateReceiveCount ?? 1),
        visibleAgainAt,
      }));
    },
    remove: async (messages) => {
      const receipts = messages.map(({ receipt }) => ({ ReceiptHandle: receipt }));
      await erase(queueUrl, receipts);
    },
    giveBack: async ({ receipt }, seconds) => {
      const command = new ChangeMessageVisibilityCommand({
        QueueUrl: queueUrl,
        ReceiptHandle: receipt,
        VisibilityTimeout: Math.min(Math.ceil(seconds), longestVisibilitySeconds),
      });
      await client.send(command).catch((error) => {
        if (!receiptLapsed(error)) throw error;
      });
    },
    bury: async (message, reason) => {
      // The receipt names this burial: an id of the alert would make SQS drop a second one within five minutes. And a
      // group of its own: of one group SQS shows no more while somebody looks at ten.
      const burial = fingerprint("dead", message.receipt);
      const command = new SendMessageCommand({
        QueueUrl: await deadLetterQueue(),
        MessageGroupId: burial,
        MessageDeduplicationId: burial,
        MessageBody: message.body,
        MessageAttributes: {
          reason: { DataType: "String", StringValue: reasonFor(reason) },
          group: { DataType: "String", StringValue: message.group },
        },
      });
      await client.send(command);
      await erase(queueUrl, [{ ReceiptHandle: message.receipt }]);
    },
    redrive: async (which) => {
      let count = 0;
      for (;;) {
        const some = await putSomeBack(isChosen(which));
        count += some;
        if (some < mostHeld) return count;
      }
    },
    deadLetters,
    depth: () => depthOf(queueUrl),
    deadLetterCount: async (site) => {
      if (site !== undefined) return (await deadLetters(mostDeadLetters, site)).length;
      const { waiting, handedOut } = await depthOf(await deadLetterQueue());
      return waiting + handedOut;
    },
    holds: async () => undefined,
    waitingBytes: async () => undefined,
    ready: async () => {
      await findDeadLetterQueue();
    },
  };
};
