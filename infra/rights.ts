import type { Stack } from "aws-cdk-lib";
import type { Table } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { LogGroup } from "aws-cdk-lib/aws-logs";
import type { ConfigurationSet } from "aws-cdk-lib/aws-ses";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Options } from "./options.ts";

/** The bridge's four Lambda functions. */
export type FunctionName = "intake" | "worker" | "sweep" | "feedback";

/** A function and its rights. */
export type Rights = {
  bundle: "lambda-intake" | "lambda-worker";
  handler: string;
  memoryMegabytes: number;
  timeoutSeconds: number;
  /** Stack traces by the source's lines. */
  sourceMaps: boolean;
  /** Secret settings that are none of its business. */
  withheld: readonly string[];
  /** Actions of SQS on the queue of alerts and on the dead letters, of DynamoDB on the table. */
  queue: readonly string[];
  deadLetters: readonly string[];
  table: readonly string[];
  /** Indexes that it may query, and those that it may read from one end to the other. */
  indexes: readonly string[];
  scannedIndexes: readonly string[];
  /** Whether it notes heartbeats, what it rejects and reports of returned mail: it may write these of the table's items, and no other. */
  notes: boolean;
  mails: boolean;
  /** Actions on the queue of events that could not be journalled. */
  returnedUnread: readonly string[];
};

const relaySecrets = ["HARDSTATE_RELAYS", "HARDSTATE_OAUTH"];
const tokens = ["HARDSTATE_TOKENS"];

/** Each function and its rights: its role has this, its own log, its parameters, and nothing else. */
export const functions: Record<FunctionName, Rights> = {
  intake: {
    bundle: "lambda-intake",
    handler: "index.handler",
    // A cold start is work for the CPU, which comes with memory: the shim waits 8 s for an answer.
    memoryMegabytes: 512,
    timeoutSeconds: 30,
    // Measured: 9 of 140 ms of a cold start, which a monitoring host waits for here alone.
    sourceMaps: false,
    withheld: relaySecrets,
    queue: ["SendMessage", "GetQueueAttributes"],
    deadLetters: [
      "GetQueueUrl",
      "GetQueueAttributes",
      "ReceiveMessage",
      "ChangeMessageVisibility",
      "DeleteMessage",
    ],
    table: ["GetItem", "BatchGetItem", "Query"],
    indexes: ["time", "object", "contact", "ending", "open"],
    scannedIndexes: [],
    notes: true,
    mails: false,
    returnedUnread: [],
  },
  worker: {
    bundle: "lambda-worker",
    handler: "index.worker",
    memoryMegabytes: 256,
    timeoutSeconds: 400,
    sourceMaps: true,
    withheld: tokens,
    queue: [
      "ReceiveMessage",
      "DeleteMessage",
      "ChangeMessageVisibility",
      "GetQueueAttributes",
      "SendMessage",
    ],
    deadLetters: ["GetQueueUrl", "SendMessage"],
    table: ["GetItem", "BatchGetItem", "Query", "UpdateItem"],
    indexes: [],
    scannedIndexes: [],
    notes: false,
    mails: true,
    returnedUnread: [],
  },
  sweep: {
    bundle: "lambda-worker",
    handler: "index.sweep",
    memoryMegabytes: 256,
    // One sweep is over before the next begins.
    timeoutSeconds: 55,
    sourceMaps: true,
    withheld: tokens,
    queue: ["SendMessage"],
    deadLetters: [],
    table: ["GetItem", "BatchGetItem", "Query", "UpdateItem"],
    indexes: ["due"],
    scannedIndexes: ["open"],
    notes: false,
    mails: false,
    returnedUnread: [],
  },
  feedback: {
    bundle: "lambda-worker",
    handler: "index.feedback",
    memoryMegabytes: 256,
    timeoutSeconds: 30,
    sourceMaps: true,
    withheld: tokens,
    // It tells operators of what came back.
    queue: ["SendMessage"],
    deadLetters: [],
    table: ["GetItem", "Query", "UpdateItem"],
    indexes: [],
    scannedIndexes: [],
    notes: false,
    mails: false,
    // Lambda puts an event there, by the function's own rights, when the function has failed three times.
    returnedUnread: ["SendMessage"],
  },
};

/** Allows `actions` of one service on `resources`; nothing if there are none. */
const allow = (service: string, actions: readonly string[], resources: string[], conditions?: object) =>
  actions.length === 0
    ? []
    : [
        new PolicyStatement({
          actions: actions.map((action) => `${service}:${action}`),
          resources,
          ...(conditions && { conditions }),
        }),
      ];

/** The parameters that a function reads, by the names of their settings. */
export const parametersOf = (name: FunctionName, { parameters }: Options): Record<string, string> =>
  Object.fromEntries(
    Object.entries(parameters).filter(([setting]) => !functions[name].withheld.includes(setting)),
  );

/** Reading these parameters, and the secrets of Secrets Manager that they stand for. */
const readParameters = (
  stack: Stack,
  parameters: Record<string, string>,
  secretsKeyArn: string | undefined,
): PolicyStatement[] => {
  const arn = (service: string, resource: string) => stack.formatArn({ service, resource });
  const names = Object.values(parameters);
  const secrets = names.flatMap((name) => /^\/aws\/reference\/secretsmanager\/(.+)$/.exec(name)?.[1] ?? []);
  return [
    ...allow(
      "ssm",
      ["GetParameters"],
      names.map((name) => arn("ssm", `parameter${name}`)),
    ),
    // Secrets Manager ends each ARN with a hyphen and six characters of its own.
    ...allow(
      "secretsmanager",
      secrets.length > 0 ? ["GetSecretValue"] : [],
      secrets.map((name) => arn("secretsmanager", `secret:${name}-??????`)),
    ),
    // AWS's own key of SSM lets in whoever may read the parameter.
    ...allow("kms", secretsKeyArn ? ["Decrypt"] : [], [secretsKeyArn ?? ""]),
  ];
};

/** All that the role of function `name` allows. Nothing here ends in `*`. */
export const statementsOf = (
  stack: Stack,
  name: FunctionName,
  options: Options,
  parts: {
    logGroup: LogGroup;
    queue: Queue;
    deadLetters: Queue;
    returnedUnread: Queue;
    table: Table;
    configurationSet: ConfigurationSet;
  },
): PolicyStatement[] => {
  const rights = functions[name];
  const { tableArn } = parts.table;
  const onIndexes = (action: string, indexes: readonly string[]) =>
    allow(
      "dynamodb",
      indexes.length > 0 ? [action] : [],
      indexes.map((index) => `${tableArn}/index/${index}`),
    );
  const ses = (resource: string, resourceName: string) =>
    stack.formatArn({ service: "ses", resource, resourceName });
  return [
    ...allow("logs", ["CreateLogStream", "PutLogEvents"], [parts.logGroup.logGroupArn]),
    ...readParameters(stack, parametersOf(name, options), options.secretsKeyArn),
    ...allow("sqs", rights.queue, [parts.queue.queueArn]),
    ...allow("sqs", rights.deadLetters, [parts.deadLetters.queueArn]),
    ...allow("sqs", rights.returnedUnread, [parts.returnedUnread.queueArn]),
    ...allow("dynamodb", rights.table, [tableArn]),
    ...onIndexes("Query", rights.indexes),
    ...onIndexes("Scan", rights.scannedIndexes),
    ...allow("dynamodb", rights.notes ? ["UpdateItem"] : [], [tableArn], {
      "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": ["heartbeats", "rejected", "returned"] },
    }),
    ...allow(
      "ses",
      rights.mails ? ["SendRawEmail"] : [],
      [
        ...options.sesIdentities.map((identity) => ses("identity", identity)),
        ses("configuration-set", parts.configurationSet.configurationSetName),
      ],
      // A * in the reverse-path stands for each mail's name.
      { StringLike: { "ses:FromAddress": options.senders } },
    ),
  ];
};
