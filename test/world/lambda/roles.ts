import { asText, type Template } from "../../../infra/describe.ts";
import { resourcesOf } from "../template.ts";

/** One action that a role allows on one resource; `leadingKeys` are the partition keys that it is allowed for. */
export type Right = { action: string; resource: string; leadingKeys?: readonly string[] };

type Statement = {
  Action: string | string[];
  Resource: unknown;
  Condition?: Record<string, Record<string, unknown>>;
};
const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** Account, region and the ids that CDK adds are of no interest. */
const nameOf = (resource: unknown): string =>
  asText(resource)
    .replace(/arn:AWS::Partition:(\w+):AWS::Region:AWS::AccountId:/, "$1 ")
    .replace(/[0-9A-F]{8}(?=\.|$)/, "");

/** Everything that the role of a function in the template allows. */
export const rightsOf = (template: Template, name: string): Right[] => {
  const [, role] = resourcesOf(template, "AWS::IAM::Role").find(([id]) => id.startsWith(name)) ?? [];
  const policies = role?.Policies as { PolicyDocument: { Statement: Statement[] } }[];
  return policies
    .flatMap(({ PolicyDocument }) => PolicyDocument.Statement)
    .flatMap(({ Action, Resource, Condition }) => {
      const keys = Condition?.["ForAllValues:StringEquals"]?.["dynamodb:LeadingKeys"];
      const leadingKeys = keys === undefined ? undefined : list(keys as string | string[]);
      return list(Action).flatMap((action) =>
        list(Resource).map((resource) => ({ action, resource: nameOf(resource), leadingKeys })),
      );
    });
};

/** The IAM rights that a request to DynamoDB or SQS needs, by its operation. IAM has no rights for batches to SQS. */
export const wantedBy = (operation: string, request: Record<string, unknown>): Right => {
  const { TableName, IndexName, Key, QueueUrl, QueueName } = request as Record<string, string | undefined>;
  if (TableName === undefined && !("RequestItems" in request)) {
    const dead = /-dead\.fifo$/.test(QueueUrl ?? QueueName ?? "");
    return {
      action: `sqs:${operation.replace(/Batch$/, "")}`,
      resource: dead ? "DeadLetters.Arn" : "Alerts.Arn",
    };
  }
  const { pk } = (Key ?? {}) as { pk?: { S: string } };
  return {
    action: `dynamodb:${operation}`,
    resource: IndexName ? `Ledger.Arn/index/${IndexName}` : "Ledger.Arn",
    leadingKeys: pk && [pk.S],
  };
};

/** Whether one right is enough for what is wanted. */
export const allows = (right: Right, wanted: Right): boolean =>
  right.action === wanted.action &&
  right.resource === wanted.resource &&
  (right.leadingKeys === undefined ||
    (wanted.leadingKeys ?? []).every((key) => right.leadingKeys?.includes(key)));
