import type { SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe } from "vitest";
import { sqsQueue } from "../../functions/queue/sqs.ts";
import { clock, contract } from "../queue/contract.ts";
import { clientOf, createAlertQueue } from "../queue/sqs.ts";
import { type Judge, startElasticMq, startMoto } from "../world/judges.ts";

describe.each([
  ["ElasticMQ", startElasticMq],
  ["moto", startMoto],
])("%s", (_, start) => {
  let judge: Judge;
  let client: SQSClient;
  let count = 0;
  beforeAll(async () => {
    judge = await start();
    client = clientOf(judge.url);
  });
  afterAll(() => judge?.stop());

  contract("sqs", async () => sqsQueue(client, await createAlertQueue(client, `alerts-${count++}`), clock));
});
