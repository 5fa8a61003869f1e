import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { deadLetterAttributes, queueAttributes } from "../world/template.ts";

/** A client for an SQS on loopback. */
export const clientOf = (endpoint: string): SQSClient =>
  new SQSClient({
    region: "us-east-1",
    endpoint,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });

/** Creates a FIFO queue; its URL. */
export const createQueue = async (
  client: SQSClient,
  name: string,
  attributes: Record<string, string> = {},
): Promise<string> => {
  const { QueueUrl = "" } = await client.send(
    new CreateQueueCommand({ QueueName: `${name}.fifo`, Attributes: { FifoQueue: "true", ...attributes } }),
  );
  return QueueUrl;
};

/** Creates a queue for alerts and its dead-letter queue, as AWS will have them but for `attributes`; the former's URL. */
export const createAlertQueue = async (
  client: SQSClient,
  name: string,
  attributes: Record<string, string> = {},
): Promise<string> => {
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({
      QueueUrl: await createQueue(client, `${name}-dead`, deadLetterAttributes()),
      AttributeNames: ["QueueArn"],
    }),
  );
  return createQueue(client, name, { ...queueAttributes(Attributes?.QueueArn ?? ""), ...attributes });
};
