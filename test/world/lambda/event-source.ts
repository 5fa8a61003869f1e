import { setTimeout } from "node:timers/promises";
import {
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { SQSEvent, SQSRecord, SQSRecordAttributes } from "aws-lambda";
import type { InvocationResult, LambdaFunction } from "./function.ts";

export type EventSourceSettings = {
  client: SQSClient;
  queueUrl: string;
  lambda: Pick<LambdaFunction, "invoke" | "timeoutSeconds">;
  /** 1 to 10: what a FIFO queue allows. */
  batchSize?: number;
  /** How many batches there may be at once; no more than the function's own. */
  concurrency?: number;
  /** How long a receive waits, and `stop` for it. Lambda's take 20 s. */
  waitSeconds?: number;
};

/** An event source mapping that polls. */
export type EventSource = {
  /** The errors between the poller and the queue. */
  errors(): readonly unknown[];
  /**
   * Resolves when the receives and batches in flight are dealt with. A receive is not broken off: the queue would hand
   * the next message to nobody, and hide it for its time.
   */
  stop(): Promise<void>;
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The message ids that stay in the queue, by "Handling errors for an SQS event source in Lambda" (Success and failure
 * conditions, ReportBatchItemFailures on). All of them after an error, and after an answer that is no object. All, too,
 * after one with an empty, null or missing itemIdentifier, or one that is not in the batch. None of them if the
 * answer is null, or its list is empty, null or missing: who misspells batchItemFailures loses the batch.
 */
export const failedMessages = (result: InvocationResult, ids: readonly string[]): readonly string[] => {
  if (!result.ok) return ids;
  if (result.value === null) return [];
  if (!isRecord(result.value)) return ids;
  const items = result.value.batchItemFailures ?? [];
  if (!Array.isArray(items)) return ids;
  const named = items.map((item) => (isRecord(item) ? item.itemIdentifier : undefined));
  return named.every((id) => ids.some((one) => one === id)) ? ids.filter((id) => named.includes(id)) : ids;
};

/** The event of "Using Lambda with Amazon SQS" (Example FIFO message event). */
const recordOf = (message: Message, eventSourceARN: string): SQSRecord => ({
  messageId: message.MessageId ?? "",
  receiptHandle: message.ReceiptHandle ?? "",
  body: message.Body ?? "",
  // Those of a queue that redrives to this one, and traces, are left out by AWS too when there are none.
  attributes: message.Attributes as unknown as SQSRecordAttributes,
  messageAttributes: Object.fromEntries(
    Object.entries(message.MessageAttributes ?? {}).map(
      ([name, { StringValue, BinaryValue, DataType = "" }]) => [
        name,
        {
          stringValue: StringValue,
          binaryValue: BinaryValue && Buffer.from(BinaryValue).toString("base64"),
          stringListValues: [],
          binaryListValues: [],
          dataType: DataType,
        },
      ],
    ),
  ),
  md5OfBody: message.MD5OfBody ?? "",
  eventSource: "aws:sqs",
  eventSourceARN,
  awsRegion: eventSourceARN.split(":")[3] ?? "",
});

/**
 * Polls a queue and invokes a function with what it gets, as an event source mapping with ReportBatchItemFailures
 * ("Using Lambda with Amazon SQS"): deletes what succeeded and leaves the rest to the queue's visibility timeout, which
 * must not be shorter than the function's timeout. Unlike AWS it does not try a throttled batch again before that.
 */
export const startEventSource = async ({
  client,
  queueUrl,
  lambda,
  batchSize = 10,
  concurrency = 2,
  waitSeconds = 1,
}: EventSourceSettings): Promise<EventSource> => {
  const { Attributes: { QueueArn = "", VisibilityTimeout = "" } = {} } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn", "VisibilityTimeout"] }),
  );
  if (Number(VisibilityTimeout) < lambda.timeoutSeconds)
    throw new Error(
      `Queue visibility timeout: ${VisibilityTimeout} seconds is less than Function timeout: ${lambda.timeoutSeconds} seconds`,
    );
  const errors: unknown[] = [];
  let stopped = false;

  const work = async (messages: readonly Message[]) => {
    const event: SQSEvent = { Records: messages.map((message) => recordOf(message, QueueArn)) };
    const ids = event.Records.map(({ messageId }) => messageId);
    const failed = failedMessages(await lambda.invoke(event), ids);
    const Entries = event.Records.filter(({ messageId }) => !failed.includes(messageId)).map(
      ({ receiptHandle }, index) => ({ Id: String(index), ReceiptHandle: receiptHandle }),
    );
    if (Entries.length === 0) return;
    const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
    errors.push(...Failed);
  };
  const poll = async () => {
    while (!stopped) {
      try {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({
            QueueUrl: queueUrl,
            MaxNumberOfMessages: batchSize,
            WaitTimeSeconds: waitSeconds,
            MessageSystemAttributeNames: ["All"],
            MessageAttributeNames: ["All"],
          }),
        );
        if (Messages.length > 0) await work(Messages);
      } catch (error) {
        errors.push(error);
        await setTimeout(200);
      }
    }
  };
  const pollers = Array.from({ length: concurrency }, poll);
  return {
    errors: () => errors,
    stop: async () => {
      stopped = true;
      await Promise.all(pollers);
    },
  };
};
