import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { SQSEvent } from "aws-lambda";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { type Judge, startElasticMq } from "../world/judges.ts";
import { functionOf } from "../world/lambda/bundle.ts";
import { startEventSource } from "../world/lambda/event-source.ts";

let judge: Judge;
let client: SQSClient;
beforeAll(async () => {
  judge = await startElasticMq();
  client = clientOf(judge.url);
});
afterAll(() => judge?.stop());

it("hands several messages of a group over in order, and those from the failed one on again in order", async () => {
  const queueUrl = await createAlertQueue(client, "alerts", { VisibilityTimeout: "2" });
  for (const body of ["one", "two", "three", "four"])
    await client.send(
      new SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: body,
        MessageGroupId: "web01",
        MessageDeduplicationId: body,
      }),
    );
  const lambda = functionOf(
    `export const handler = async (event) => {
      process.stdout.write(JSON.stringify(event) + "\\n");
      const failed = event.Records.findIndex(({ body, attributes }) => body === "two" && attributes.ApproximateReceiveCount === "1");
      return { batchItemFailures: (failed < 0 ? [] : event.Records.slice(failed)).map(({ messageId }) => ({ itemIdentifier: messageId })) };
    };`,
    { timeoutSeconds: 2 },
  );
  const source = await startEventSource({ client, queueUrl, lambda, waitSeconds: 1 });
  onTestFinished(() => source.stop());
  const batches = () => lambda.output().map((line) => (JSON.parse(line) as SQSEvent).Records);
  await expect.poll(() => batches().length, { timeout: 10_000 }).toBe(2);
  expect(batches().map((records) => records.map(({ body }) => body))).toEqual([
    ["one", "two", "three", "four"],
    ["two", "three", "four"],
  ]);
  expect(batches()[0]?.[0]).toMatchObject({
    eventSourceARN: "arn:aws:sqs:us-east-1:123456789012:alerts.fifo",
    awsRegion: "us-east-1",
  });
  await source.stop();
  expect(source.errors()).toEqual([]);
});
