import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CreateTableCommandInput, TimeToLiveSpecification } from "@aws-sdk/client-dynamodb";
import type { Template, ValidationReport } from "../../infra/describe.ts";

const readOutput = (name: string): unknown => {
  try {
    return JSON.parse(readFileSync(resolve("infra/cdk.out", name), "utf8"));
  } catch (error) {
    throw new Error(`infra/cdk.out is not there: npm ci --prefix infra && npm run synth`, { cause: error });
  }
};

/** The CloudFormation template that `npm run synth` made. */
export const readTemplate = (): Template => readOutput("hardstate.template.json") as Template;

/** Queue, dead letters and table of that template: a file, so that tests without CDK make the same. */
export const readStores = (): Template => JSON.parse(readFileSync("infra/stores.json", "utf8")) as Template;

/** The findings of cdk-nag. */
export const readReport = (): ValidationReport => readOutput("validation-report.json") as ValidationReport;

/** The resources of one type, by their logical ids. */
export const resourcesOf = (template: Template, type: string): [string, Record<string, unknown>][] =>
  Object.entries(template.Resources)
    .filter(([, { Type }]) => Type === type)
    .map(([id, { Properties }]) => [id, Properties]);

const queueOf = (template: Template, name: string): Record<string, unknown> => {
  const [, properties] = resourcesOf(template, "AWS::SQS::Queue").find(([id]) => id.startsWith(name)) ?? [];
  if (!properties) throw new Error(`the template has no queue ${name}`);
  return properties;
};

/** Attributes for CreateQueueCommand: CloudFormation spells them as SQS does. */
const attributesOf = (properties: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [
      name,
      typeof value === "object" ? JSON.stringify(value) : String(value),
    ]),
  );

/** The input of CreateQueueCommand for the dead-letter queue as AWS will have it. */
export const deadLetterAttributes = (template = readStores()): Record<string, string> =>
  attributesOf(queueOf(template, "DeadLetters"));

/** The input of CreateQueueCommand for the queue of alerts as AWS will have it, with this dead-letter queue. */
export const queueAttributes = (
  deadLetterTargetArn: string,
  template = readStores(),
): Record<string, string> => {
  const { RedrivePolicy, ...properties } = queueOf(template, "Alerts");
  return attributesOf({
    ...properties,
    RedrivePolicy: { ...(RedrivePolicy as object), deadLetterTargetArn },
  });
};

/** CloudFormation spells a table as DynamoDB does. */
type TableProperties = Omit<CreateTableCommandInput, "TableName"> & {
  TimeToLiveSpecification?: TimeToLiveSpecification;
};

const tableOf = (template: Template): TableProperties => {
  const [[, properties] = []] = resourcesOf(template, "AWS::DynamoDB::Table");
  if (!properties) throw new Error("the template has no table");
  return properties;
};

/** The input of CreateTableCommand for the ledger as AWS will have it, but the table's name. */
export const tableDefinition = (template = readStores()): Omit<CreateTableCommandInput, "TableName"> => {
  const { KeySchema, AttributeDefinitions, BillingMode, GlobalSecondaryIndexes } = tableOf(template);
  return { KeySchema, AttributeDefinitions, BillingMode, GlobalSecondaryIndexes };
};

/** The input of UpdateTimeToLiveCommand for it. */
export const timeToLive = (template = readStores()): TimeToLiveSpecification | undefined =>
  tableOf(template).TimeToLiveSpecification;
