import {
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
  type SQSClientConfig,
} from "@aws-sdk/client-sqs";
import { digest } from "../identity.ts";
import {
  type DeadLetter,
  isChosen,
  type OutgoingMessage,
  putBack,
  type Queue,
  type ReceivedMessage,
  toDeadLetter,
} from "./queue.ts";

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
const batchEntries = 10;
const batchBytes = 1_000_000;
/** SQS takes 12 hours from the receive on and refuses what is longer: ten minutes are for who had it. */
const longestVisibilitySeconds = 43_200 - 600;

/**
 * A client for one queue, with these credentials or those that the AWS SDK finds in its surroundings; every wait has a
 * limit, the longest for a receive that waits 20 s. `region` is for URLs that name none.
 */
export const sqsClient = (
  queueUrl: string,
  region: string,
  credentials?: SQSClientConfig["credentials"],
): SQSClient => {
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
    if (!last || last.length === batchEntries || size + bytes > batchBytes) {
      result.push([message]);
      size = bytes;
    } else {
      last.push(message);
      size += bytes;
    }
  }
  return result;
};

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

/** SQS says so when the message was handed to somebody else or deleted meanwhile. */
const receiptLapsed = (error: unknown): boolean =>
  error instanceof Error &&
  ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"].includes(error.name);

/**
 * A queue on one SQS FIFO queue, whose redrive policy names its FIFO dead-letter queue. Its maxReceiveCount must be
 * 1000, the most there is, or SQS buries what still has time: the pipeline keeps to some 600 receives.
 */
export const sqsQueue = (client: SQSClient, queueUrl: string, clock: () => number): Queue => {
  let deadLetterUrl: Promise<string> | undefined;
  const findDeadLetterQueue = async (): Promise<string> => {
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["RedrivePolicy"] }),
    );
    if (!Attributes?.RedrivePolicy)
      throw new Error("the SQS queue has no redrive policy: give it a dead-letter queue");
    const { deadLetterTargetArn } = JSON.parse(Attributes.RedrivePolicy) as { deadLetterTargetArn: string };
    const QueueName = deadLetterTargetArn.split(":").at(-1);
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }));
    if (!QueueUrl) throw new Error("SQS knows no URL of the dead-letter queue that the redrive policy names");
    return QueueUrl;
  };
  const deadLetterQueue = () => {
    deadLetterUrl ??= findDeadLetterQueue().catch((error) => {
      deadLetterUrl = undefined;
      throw error;
    });
    return deadLetterUrl;
  };

  const receiveFrom = async (
    url: string,
    max: number,
    waitSeconds: number,
    visibility: number,
    signal?: AbortSignal,
  ) => {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: max,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: visibility,
        MessageSystemAttributeNames: ["MessageGroupId", "ApproximateReceiveCount", "SentTimestamp"],
        MessageAttributeNames: ["reason"],
      }),
      { abortSignal: signal },
    );
    return Messages;
  };
  const setVisibility = async (url: string, receipt: string | undefined, seconds: number) => {
    try {
      await client.send(
        new ChangeMessageVisibilityCommand({
          QueueUrl: url,
          ReceiptHandle: receipt,
          VisibilityTimeout: Math.min(Math.ceil(seconds), longestVisibilitySeconds),
        }),
      );
    } catch (error) {
      if (!receiptLapsed(error)) throw error;
    }
  };
  const erase = async (url: string, receipts: readonly (string | undefined)[]) => {
    for (let start = 0; start < receipts.length; start += batchEntries) {
      const Entries = receipts
        .slice(start, start + batchEntries)
        .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
      const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }));
      const ours = Failed.find(({ SenderFault }) => !SenderFault);
      if (ours) throw new Error(`SQS did not delete a message: ${ours.Code} ${ours.Message}`);
    }
  };
  const letterOf = ({ Body = "", Attributes, MessageAttributes }: Message): DeadLetter =>
    toDeadLetter(
      Body,
      MessageAttributes?.reason?.StringValue ?? "received too often",
      Number(Attributes?.SentTimestamp ?? 0),
    );
  /** Visits each dead letter once, while `more` are wanted; those still there are visible again at once. */
  const eachDeadLetter = async (
    more: () => boolean,
    visit: (letter: Message, url: string) => Promise<void>,
  ) => {
    const url = await deadLetterQueue();
    const seen: Message[] = [];
    try {
      while (more()) {
        const letters = await receiveFrom(url, batchEntries, 0, 30);
        const fresh = letters.filter(
          (letter) => !seen.some(({ MessageId }) => MessageId === letter.MessageId),
        );
        if (fresh.length === 0) return;
        seen.push(...letters);
        for (const letter of fresh) await visit(letter, url);
      }
    } finally {
      for (const letter of seen) await setVisibility(url, letter.ReceiptHandle, 0);
    }
  };

  /** How many messages a queue has that can be received, and that somebody has. */
  const countsOf = async (url: string): Promise<[number, number]> => {
    const { Attributes = {} } = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl: url,
        AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
      }),
    );
    const { ApproximateNumberOfMessages: visible, ApproximateNumberOfMessagesNotVisible: hidden } =
      Attributes;
    return [Number(visible ?? 0), Number(hidden ?? 0)];
  };

  return {
    send: async (messages) => {
      const taken = new Set<OutgoingMessage>();
      const refused = new Set<string>();
      const sendBatch = async (batch: readonly OutgoingMessage[]) => {
        const { Failed = [] } = await client.send(
          new SendMessageBatchCommand({
            QueueUrl: queueUrl,
            Entries: batch.map(({ group, deduplicationId, body }, index) => ({
              Id: String(index),
              MessageGroupId: group,
              MessageDeduplicationId: deduplicationId,
              MessageBody: body,
            })),
          }),
        );
        const failed = new Set(Failed.map(({ Id }) => Id));
        for (const [index, message] of batch.entries())
          if (failed.has(String(index))) refused.add(message.group);
          else taken.add(message);
      };
      // Requests overtake each other: no two messages of a group are under way at once.
      for (const round of rounds(messages))
        await Promise.all(batches(round.filter(({ group }) => !refused.has(group))).map(sendBatch));
      return messages.map((message) => taken.has(message));
    },
    receive: async ({ max, waitSeconds, visibilityTimeoutSeconds, signal }) => {
      const visibleAgainAt = clock() + visibilityTimeoutSeconds * 1000;
      let messages: Message[];
      try {
        messages = await receiveFrom(queueUrl, max, waitSeconds, visibilityTimeoutSeconds, signal);
      } catch (error) {
        if (signal?.aborted) return [];
        throw error;
      }
      return messages.map(({ Body = "", ReceiptHandle = "", Attributes }) => ({
        receipt: ReceiptHandle,
        group: Attributes?.MessageGroupId ?? "",
        body: Body,
        receiveCount: Number(Attributes?.ApproximateReceiveCount ?? 1),
        visibleAgainAt,
      }));
    },
    remove: (messages) =>
      erase(
        queueUrl,
        messages.map(({ receipt }) => receipt),
      ),
    giveBack: (message, seconds) => setVisibility(queueUrl, message.receipt, seconds),
    bury: async (message: ReceivedMessage, reason) => {
      // The receipt names this burial: an id of the alert would make SQS drop a second one within five minutes.
      await client.send(
        new SendMessageCommand({
          QueueUrl: await deadLetterQueue(),
          MessageGroupId: message.group,
          MessageDeduplicationId: digest("dead", message.receipt),
          MessageBody: message.body,
          MessageAttributes: { reason: { DataType: "String", StringValue: reasonFor(reason) } },
        }),
      );
      await erase(queueUrl, [message.receipt]);
    },
    redrive: async (which) => {
      const wanted = isChosen(which);
      let count = 0;
      await eachDeadLetter(
        () => true,
        async (letter, url) => {
          if (!wanted(letterOf(letter))) return;
          await client.send(
            new SendMessageCommand({
              QueueUrl: queueUrl,
              MessageGroupId: letter.Attributes?.MessageGroupId,
              MessageDeduplicationId: digest("redrive", letter.ReceiptHandle ?? ""),
              MessageBody: putBack(letter.Body ?? "", clock()),
            }),
          );
          await erase(url, [letter.ReceiptHandle]);
          count += 1;
        },
      );
      return count;
    },
    deadLetters: async (limit, site) => {
      const letters: DeadLetter[] = [];
      const visit = async (message: Message) => {
        const letter = letterOf(message);
        if (site === undefined || (letter.alert?.site ?? site) === site) letters.push(letter);
      };
      await eachDeadLetter(() => letters.length < limit, visit);
      return letters.slice(0, limit);
    },
    depth: async () => {
      const [waiting, handedOut] = await countsOf(queueUrl);
      return { waiting, handedOut };
    },
    deadLetterCount: async () => {
      const [waiting, handedOut] = await countsOf(await deadLetterQueue());
      return waiting + handedOut;
    },
    holds: async () => undefined,
    ready: async () => {
      deadLetterUrl = undefined;
      await deadLetterQueue();
    },
  };
};
