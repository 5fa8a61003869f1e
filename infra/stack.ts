import { join } from "node:path";
import { type App, CfnOutput, Duration, RemovalPolicy, Stack, Validations } from "aws-cdk-lib";
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { EventBus, Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { PolicyDocument, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Code, FunctionUrlAuthType, Function as Lambda, Runtime } from "aws-cdk-lib/aws-lambda";
import { SqsDestination } from "aws-cdk-lib/aws-lambda-destinations";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import {
  ConfigurationSet,
  EmailSendingEvent,
  EventDestination,
  SuppressionReasons,
} from "aws-cdk-lib/aws-ses";
import { DeduplicationScope, FifoThroughputLimit, Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { makeAlarms } from "./alarms.ts";
import { makeDashboard } from "./dashboard.ts";
import type { Options } from "./options.ts";
import { type FunctionName, functions, parametersOf, statementsOf } from "./rights.ts";

const makeQueues = (stack: Stack) => {
  const fifo = {
    fifo: true,
    // High throughput: order and deduplication are per message group. Ids are ours, never hashes of the content.
    deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
    fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
    contentBasedDeduplication: false,
    retentionPeriod: Duration.days(14),
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.DESTROY,
  };
  const deadLetters = new Queue(stack, "DeadLetters", fifo);
  const queue = new Queue(stack, "Alerts", {
    ...fifo,
    // Longer than the worker's timeout, which Lambda demands. AWS advises six times that, for retries that we do
    // ourselves: a dead worker's messages would be hidden for 40 minutes.
    visibilityTimeout: Duration.seconds(functions.worker.timeoutSeconds + 30),
    // The most there is: the worker buries by itself, with the reason, after some 600 receives.
    deadLetterQueue: { queue: deadLetters, maxReceiveCount: 1000 },
  });
  const returnedUnread = new Queue(stack, "ReturnedUnread", {
    retentionPeriod: Duration.days(14),
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  Validations.of(returnedUnread).acknowledge({
    id: "AwsSolutions::AwsSolutions-SQS3",
    reason:
      "This queue is itself a dead-letter queue, of the rule and of the function that journal returned mail; cdk-nag knows only those of other SQS queues. Nothing receives from it by itself, and an alarm tells of the first message.",
  });
  return { queue, deadLetters, returnedUnread };
};

const makeTable = (stack: Stack): Table => {
  const text = (name: string) => ({ name, type: AttributeType.STRING });
  // AWS::DynamoDB::Table and not the newer GlobalTable: it says what CreateTable says, so that tests make the same.
  const table = new Table(stack, "Ledger", {
    partitionKey: text("pk"),
    sortKey: text("sk"),
    billingMode: BillingMode.PAY_PER_REQUEST,
    encryption: TableEncryption.DEFAULT,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    timeToLiveAttribute: "expires",
    removalPolicy: RemovalPolicy.RETAIN,
  });
  const indexes = [
    ["time", text("site"), text("at")],
    ["object", text("site_object"), text("at")],
    ["contact", text("site_contact"), text("at")],
    ["ending", text("site_ending"), text("at")],
    ["open", text("open_site"), text("open_at")],
    ["due", text("due"), { name: "due_at", type: AttributeType.NUMBER }],
  ] as const;
  for (const [indexName, partitionKey, sortKey] of indexes)
    table.addGlobalSecondaryIndex({
      indexName,
      partitionKey,
      sortKey,
      projectionType: ProjectionType.KEYS_ONLY,
    });
  return table;
};

/** Where SES's events of our mails come out; events of other senders in the account do not. */
const makeConfigurationSet = (stack: Stack) => {
  const configurationSet = new ConfigurationSet(stack, "Mail", {
    configurationSetName: stack.stackName,
    // A mailbox that bounced once would never be mailed again, although SES answers that it was.
    suppressionReasons: SuppressionReasons.COMPLAINTS_ONLY,
  });
  const bus = EventBus.fromEventBusName(stack, "DefaultBus", "default");
  configurationSet.addEventDestination("Returned", {
    destination: EventDestination.eventBus(bus),
    // Rejected: SES took the mail and found a virus. Rendering can fail for templates alone, which we have not.
    events: [
      EmailSendingEvent.BOUNCE,
      EmailSendingEvent.COMPLAINT,
      EmailSendingEvent.DELIVERY_DELAY,
      EmailSendingEvent.REJECT,
    ],
  });
  return configurationSet;
};

/** Everything that a bridge on AWS is. The template is the same whatever account and region it goes to. */
export const bridge = (app: App, options: Options): Stack => {
  const stack = new Stack(app, "hardstate", {
    description: "Hardstate: alerts of the monitoring to mail",
  });
  const queues = makeQueues(stack);
  const { queue, returnedUnread } = queues;
  const table = makeTable(stack);
  const configurationSet = makeConfigurationSet(stack);
  const parts = { ...queues, table, configurationSet };
  const environmentOf = (name: FunctionName) => ({
    ...options.plain,
    ...Object.fromEntries(
      Object.entries(parametersOf(name, options)).map(([setting, parameter]) => [
        `${setting}_PARAMETER`,
        parameter,
      ]),
    ),
    HARDSTATE_QUEUE: `sqs:${queue.queueUrl}`,
    HARDSTATE_LEDGER: `dynamodb:${table.tableName}`,
  });
  const makeFunction = (name: FunctionName, reservedConcurrentExecutions?: number) => {
    const { bundle, handler, memoryMegabytes, timeoutSeconds, sourceMaps } = functions[name];
    const logGroup = new LogGroup(stack, `${name}-log`, {
      retention: options.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(stack, `${name}-role`, {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      inlinePolicies: {
        work: new PolicyDocument({ statements: statementsOf(stack, name, options, { ...parts, logGroup }) }),
      },
    });
    return new Lambda(stack, name, {
      description: `Hardstate: ${name}`,
      code: Code.fromAsset(join(import.meta.dirname, "../dist", bundle)),
      handler,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: memoryMegabytes,
      timeout: Duration.seconds(timeoutSeconds),
      // Else constructs add more rights than are used.
      role: role.withoutPolicyUpdates(),
      logGroup,
      environment: { ...environmentOf(name), ...(sourceMaps && { NODE_OPTIONS: "--enable-source-maps" }) },
      reservedConcurrentExecutions,
    });
  };

  const intake = makeFunction("intake", options.intakeConcurrency);
  const worker = makeFunction("worker");
  const sweep = makeFunction("sweep");
  const feedback = makeFunction("feedback");

  // A bearer token of ours says who may post, because a monitoring host can keep one; it cannot sign as IAM needs.
  const { url } = intake.addFunctionUrl({ authType: FunctionUrlAuthType.NONE });
  worker.addEventSourceMapping("alerts", {
    eventSourceArn: queue.queueArn,
    batchSize: 10,
    reportBatchItemFailures: true,
    // Each instance opens its own connections to the relay.
    maxConcurrency: options.workerConcurrency,
  });
  // A sweep that fails is not tried again: the next is a minute away.
  new Rule(stack, "EachMinute", {
    schedule: Schedule.rate(Duration.minutes(1)),
    targets: [new LambdaFunction(sweep, { retryAttempts: 0, maxEventAge: Duration.minutes(1) })],
  });
  sweep.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });

  new Rule(stack, "Returned", {
    description: "Bounces, complaints, delays and rejects of our mails, to the journal",
    eventPattern: {
      source: ["aws.ses"],
      detail: { mail: { tags: { "ses:configuration-set": [configurationSet.configurationSetName] } } },
    },
    targets: [
      new LambdaFunction(feedback, { deadLetterQueue: returnedUnread, maxEventAge: Duration.hours(6) }),
    ],
  });
  feedback.configureAsyncInvoke({
    retryAttempts: 2,
    maxEventAge: Duration.hours(6),
    onFailure: new SqsDestination(returnedUnread),
  });

  const lambdas = { intake, worker, sweep, feedback };
  const alarms = makeAlarms(stack, { ...queues, lambdas }, options.alarmEmail);
  makeDashboard(stack, { ...queues, alarms, table, lambdas });

  new CfnOutput(stack, "Url", {
    value: `${url}v1/alerts`,
    description: "url in notify.conf of the monitoring host",
  });
  new CfnOutput(stack, "ConfigurationSet", {
    value: configurationSet.configurationSetName,
    description: "configuration-set= in HARDSTATE_RELAYS",
  });
  new CfnOutput(stack, "Table", { value: table.tableName, description: "Stays when the stack is destroyed" });
  return stack;
};
