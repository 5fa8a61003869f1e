import { createHash } from "node:crypto";
import { GetQueueAttributesCommand, SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { SQSEvent } from "aws-lambda";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { clientOf, createQueue as createFifoQueue } from "../queue/sqs.ts";
import { functionOf } from "../world/lambda/bundle.ts";
import { type EventSourceSettings, failedMessages, startEventSource } from "../world/lambda/event-source.ts";
import type { FunctionSettings } from "../world/lambda/function.ts";

describe("in a batch of two", () => {
  const ids = ["one", "two"];
  const failedBy = (value: unknown) => failedMessages({ ok: true, value }, ids);
  it.each([
    ["null", null],
    ["an empty object", {}],
    ["an empty list", { batchItemFailures: [] }],
    ["a null list", { batchItemFailures: null }],
    ["a misspelt list", { batchItemFailure: [{ itemIdentifier: "one" }] }],
  ])("both succeeded after %s", (_, value) => {
    expect(failedBy(value)).toEqual([]);
  });
  it.each([
    ["a text", "well"],
    ["a number", 1],
    ["a list", [{ itemIdentifier: "one" }]],
    ["true", true],
    ["a list that is an object", { batchItemFailures: { itemIdentifier: "one" } }],
    ["a list that is a text", { batchItemFailures: "one" }],
    ["an empty itemIdentifier", { batchItemFailures: [{ itemIdentifier: "" }] }],
    ["a null itemIdentifier", { batchItemFailures: [{ itemIdentifier: null }] }],
    ["an itemIdentifier that is a number", { batchItemFailures: [{ itemIdentifier: 1 }] }],
    ["a misspelt itemIdentifier", { batchItemFailures: [{ itemId: "one" }] }],
    ["an item that is a text", { batchItemFailures: ["one"] }],
    ["an item that is null", { batchItemFailures: [null] }],
    ["an unknown message", { batchItemFailures: [{ itemIdentifier: "three" }] }],
    ["one good item and a bad one", { batchItemFailures: [{ itemIdentifier: "one" }, {}] }],
  ])("both failed after %s", (_, value) => {
    expect(failedBy(value)).toEqual(ids);
  });
  it("both failed after an error", () => {
    expect(failedMessages({ ok: false, error: { errorType: "Error", errorMessage: "no" } }, ids)).toEqual(
      ids,
    );
  });
  it("the one failed that is named, however often", () => {
    const items = [{ itemIdentifier: "two" }, { itemIdentifier: "two" }];
    expect(failedBy({ batchItemFailures: items })).toEqual(["two"]);
  });
});

describe("an event source", () => {
  let server: Awaited<ReturnType<typeof startFauxqs>>;
  let client: SQSClient;
  let count = 0;
  beforeAll(async () => {
    server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
    client = clientOf(`http://127.0.0.1:${server.port}`);
  });
  afterAll(() => server.stop());

  const createQueue = (visibilityTimeoutSeconds = 5) =>
    createFifoQueue(client, `events-${count++}`, { VisibilityTimeout: String(visibilityTimeoutSeconds) });
  const send = (QueueUrl: string, group: string, body: string) =>
    client.send(
      new SendMessageCommand({
        QueueUrl,
        MessageBody: body,
        MessageGroupId: group,
        MessageDeduplicationId: `${group}-${body}`,
        MessageAttributes: { reason: { DataType: "String", StringValue: "because" } },
      }),
    );
  const left = async (QueueUrl: string) => {
    const { Attributes: { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = {} } =
      await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
    return Number(ApproximateNumberOfMessages) + Number(ApproximateNumberOfMessagesNotVisible);
  };
  /** A source of a function that writes the event, and then does what `code` says. */
  const start = async (
    queueUrl: string,
    code: string,
    settings: Partial<FunctionSettings> = {},
    source: Partial<EventSourceSettings> = {},
  ) => {
    const lambda = functionOf(
      `export const handler = async (event) => {
        process.stdout.write(JSON.stringify(event) + "\\n");
        ${code}
      };`,
      { timeoutSeconds: 1, ...settings },
    );
    const started = await startEventSource({ client, queueUrl, lambda, waitSeconds: 1, ...source });
    onTestFinished(() => started.stop());
    const records = () => lambda.output().flatMap((line) => (JSON.parse(line) as SQSEvent).Records);
    return { lambda, records, ...started };
  };

  it("hands a message over as Lambda does, and deletes it after success", async () => {
    const queueUrl = await createQueue();
    await send(queueUrl, "web01", "größer");
    const { records, errors } = await start(queueUrl, "");
    await expect.poll(records, { timeout: 5000 }).toHaveLength(1);
    expect(records()).toEqual([
      {
        messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        receiptHandle: expect.any(String),
        body: "größer",
        attributes: {
          ApproximateReceiveCount: "1",
          ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
          SentTimestamp: expect.stringMatching(/^\d{13}$/),
          SequenceNumber: expect.stringMatching(/^\d+$/),
          MessageGroupId: "web01",
          MessageDeduplicationId: "web01-größer",
          SenderId: expect.any(String),
        },
        messageAttributes: {
          reason: { stringValue: "because", stringListValues: [], binaryListValues: [], dataType: "String" },
        },
        md5OfBody: createHash("md5").update("größer").digest("hex"),
        eventSource: "aws:sqs",
        eventSourceARN: expect.stringMatching(/^arn:aws:sqs:us-east-1:\d{12}:events-\d+\.fifo$/),
        awsRegion: "us-east-1",
      },
    ]);
    await expect.poll(() => left(queueUrl), { timeout: 5000 }).toBe(0);
    expect(errors()).toEqual([]);
  });

  it("makes batches, of ten at most", async () => {
    const queueUrl = await createQueue();
    for (let index = 0; index < 12; index++) await send(queueUrl, `group-${index}`, "text");
    const { lambda, records } = await start(queueUrl, "", {}, { concurrency: 1 });
    await expect.poll(() => records().length, { timeout: 5000 }).toBe(12);
    const sizes = lambda.output().map((line) => JSON.parse(line).Records.length);
    expect(sizes).toEqual([10, 2]);
  });

  it("leaves to the queue what the function names as failed, and deletes the rest", async () => {
    const queueUrl = await createQueue(1);
    for (const body of ["good", "bad"]) await send(queueUrl, body, body);
    const { records } = await start(
      queueUrl,
      `return { batchItemFailures: event.Records
        .filter(({ body, attributes }) => body === "bad" && attributes.ApproximateReceiveCount === "1")
        .map(({ messageId }) => ({ itemIdentifier: messageId })) };`,
    );
    const seen = () =>
      records().map(({ body, attributes }) => `${body} ${attributes.ApproximateReceiveCount}`);
    await expect.poll(() => seen().toSorted(), { timeout: 8000 }).toEqual(["bad 1", "bad 2", "good 1"]);
    await expect.poll(() => left(queueUrl), { timeout: 5000 }).toBe(0);
  }, 20_000);

  it.each([
    ["throws", "throw new Error('no');"],
    ["takes too long", "await new Promise((done) => setTimeout(done, 60_000));"],
    ["exits", "process.exit(1);"],
    ["names an unknown message", "return { batchItemFailures: [{ itemIdentifier: 'unknown' }] };"],
    ["gives no object", "return 'well';"],
  ])(
    "leaves the whole batch to the queue when the function %s",
    async (_, code) => {
      const queueUrl = await createQueue(1);
      for (const body of ["one", "two"]) await send(queueUrl, body, body);
      const { records, errors } = await start(
        queueUrl,
        `if (event.Records.some(({ attributes }) => attributes.ApproximateReceiveCount === "1")) { ${code} }`,
      );
      await expect
        .poll(() => records().map(({ attributes }) => attributes.ApproximateReceiveCount), {
          timeout: 12_000,
        })
        .toEqual(["1", "1", "2", "2"]);
      await expect.poll(() => left(queueUrl), { timeout: 5000 }).toBe(0);
      expect(errors()).toEqual([]);
    },
    30_000,
  );

  it("never has one group in two invocations", async () => {
    const queueUrl = await createQueue();
    for (const body of ["one", "two", "three"]) await send(queueUrl, "web01", body);
    const { lambda, records } = await start(
      queueUrl,
      "await new Promise((done) => setTimeout(done, 100)); process.stdout.write(JSON.stringify({ Records: [] }) + '\\n');",
    );
    await expect.poll(() => left(queueUrl), { timeout: 8000 }).toBe(0);
    expect(records().map(({ body }) => body)).toEqual(["one", "two", "three"]);
    const running = lambda.output().map((line) => JSON.parse(line).Records.length > 0);
    expect(running).toEqual(running.map((_, index) => index % 2 === 0));
  });

  it("stops when what is in flight is dealt with", async () => {
    const queueUrl = await createQueue();
    await send(queueUrl, "web01", "one");
    const { lambda, stop } = await start(queueUrl, "await new Promise((done) => setTimeout(done, 500));");
    await lambda.line(/Records/, 5000);
    await stop();
    expect(await left(queueUrl)).toBe(0);
  });

  it("refuses a queue whose messages come back before the function's time is over", async () => {
    const lambda = functionOf("", { timeoutSeconds: 30 });
    await expect(startEventSource({ client, queueUrl: await createQueue(29), lambda })).rejects.toThrow(
      "Queue visibility timeout: 29 seconds is less than Function timeout: 30 seconds",
    );
  });
});
