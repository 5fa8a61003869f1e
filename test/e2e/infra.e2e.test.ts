import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { idleMonth, metricsOfAlerts } from "../../infra/cost.ts";
import {
  asText,
  describeAlarms,
  describeCost,
  describeDashboard,
  describeFindings,
  storesOf,
  widgetsOf,
} from "../../infra/describe.ts";
import { rightsOf } from "../world/lambda/roles.ts";
import {
  deadLetterAttributes,
  queueAttributes,
  readReport,
  readStores,
  readTemplate,
  resourcesOf,
  tableDefinition,
  timeToLive,
} from "../world/template.ts";

// Reads what `npm run synth` wrote to infra/cdk.out; without it, each test says what to run.
const template = readTemplate();
const propertiesOf = (type: string) => resourcesOf(template, type).map(([, properties]) => properties);
const lambda = (name: string): Record<string, unknown> =>
  propertiesOf("AWS::Lambda::Function").find(({ Description }) => Description === `Hardstate: ${name}`) ?? {};
const functionNames = ["intake", "worker", "sweep", "feedback"];

type Statement = {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: unknown;
  Condition?: Record<string, Record<string, unknown>>;
};
const statementsOf = (properties: Record<string, unknown>, name: string): Statement[] =>
  (properties[name] as { Statement: Statement[] }).Statement;

/** Everything that a function's role allows, an action on a resource on each line. */
const linesOf = (name: string): string[] =>
  rightsOf(template, name)
    .map(
      ({ action, resource, leadingKeys }) =>
        `${action} on ${resource}${leadingKeys ? ` of ${leadingKeys.join(", ")}` : ""}`,
    )
    .sort();

it("queue and table that tests make are those of the template: npm run synth -- --write", () => {
  expect(readStores()).toEqual(JSON.parse(JSON.stringify(storesOf(template))));
});

describe("the queue", () => {
  const attributes = queueAttributes("arn:dead.fifo");

  it("keeps order within a message group and lets groups pass each other", () => {
    expect(attributes).toMatchObject({
      FifoQueue: "true",
      DeduplicationScope: "messageGroup",
      FifoThroughputLimit: "perMessageGroupId",
    });
  });

  it("never takes two alerts with the same words for one", () => {
    expect(attributes.ContentBasedDeduplication).toBe("false");
  });

  it("buries a message by itself only when it was received 1000 times", () => {
    expect(JSON.parse(attributes.RedrivePolicy ?? "")).toEqual({
      deadLetterTargetArn: "arn:dead.fifo",
      maxReceiveCount: 1000,
    });
  });

  it("hides a message for longer than the worker may take, and from a dead worker for less than 10 minutes", () => {
    const hiddenSeconds = Number(attributes.VisibilityTimeout);
    expect(hiddenSeconds).toBeGreaterThan(Number(lambda("worker").Timeout));
    expect(hiddenSeconds).toBeLessThan(600);
  });

  it("keeps alerts and dead letters for 14 days", () => {
    const fourteenDays = String(14 * 86_400);
    expect(attributes.MessageRetentionPeriod).toBe(fourteenDays);
    expect(deadLetterAttributes().MessageRetentionPeriod).toBe(fourteenDays);
  });

  it("has a dead-letter queue that is a FIFO too, as SQS demands", () => {
    expect(deadLetterAttributes().FifoQueue).toBe("true");
  });
});

describe("the table", () => {
  it("has an index, with keys alone, for each question that is asked without a scan", () => {
    const { GlobalSecondaryIndexes = [], KeySchema, BillingMode } = tableDefinition();
    const keys = (schema: typeof KeySchema) => schema?.map(({ AttributeName }) => AttributeName).join(" ");
    expect([keys(KeySchema), BillingMode]).toEqual(["pk sk", "PAY_PER_REQUEST"]);
    expect(
      Object.fromEntries(GlobalSecondaryIndexes.map((index) => [index.IndexName, keys(index.KeySchema)])),
    ).toEqual({
      time: "site at",
      object: "site_object at",
      contact: "site_contact at",
      ending: "site_ending at",
      open: "open_site open_at",
      due: "due due_at",
    });
    for (const { Projection } of GlobalSecondaryIndexes)
      expect(Projection).toEqual({ ProjectionType: "KEYS_ONLY" });
  });

  it("sorts by time as text, and what is due by its number", () => {
    const { AttributeDefinitions = [] } = tableDefinition();
    const numbers = AttributeDefinitions.filter(({ AttributeType }) => AttributeType !== "S");
    expect(numbers).toEqual([{ AttributeName: "due_at", AttributeType: "N" }]);
  });

  it("forgets by itself what has expired", () => {
    expect(timeToLive()).toEqual({ AttributeName: "expires", Enabled: true });
  });

  it("can be set back to any second of the last 35 days, and stays when the stack is destroyed", () => {
    const [table] = Object.values(template.Resources).filter(({ Type }) => Type === "AWS::DynamoDB::Table");
    expect(table).toMatchObject({
      DeletionPolicy: "Retain",
      UpdateReplacePolicy: "Retain",
      Properties: { PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true } },
    });
  });
});

describe("a function", () => {
  it.each([
    ["intake", "index.handler", 30],
    ["worker", "index.worker", 400],
    ["sweep", "index.sweep", 55],
    ["feedback", "index.feedback", 30],
  ])("%s runs %s on arm64 and Node 24 for at most %i s", (name, handler, seconds) => {
    expect(lambda(name)).toMatchObject({
      Handler: handler,
      Timeout: seconds,
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
    });
  });

  it("is told where its secrets are, and never a secret or what only a process can be told", () => {
    for (const name of functionNames) {
      const { Variables } = lambda(name).Environment as { Variables: Record<string, unknown> };
      const settings = Object.keys(Variables).filter((key) => key.startsWith("HARDSTATE_"));
      expect(settings.sort()).toEqual([
        "HARDSTATE_FROM",
        "HARDSTATE_LEDGER",
        "HARDSTATE_QUEUE",
        "HARDSTATE_RECIPIENTS",
        name === "intake" ? "HARDSTATE_TOKENS_PARAMETER" : "HARDSTATE_RELAYS_PARAMETER",
      ]);
    }
  });

  it("keeps its log for 30 days unless told otherwise", () => {
    const logs = propertiesOf("AWS::Logs::LogGroup");
    expect(logs.map(({ RetentionInDays }) => RetentionInDays)).toEqual([30, 30, 30, 30]);
  });

  const log = (name: string) => [
    `logs:CreateLogStream on ${name}log.Arn`,
    `logs:PutLogEvents on ${name}log.Arn`,
    `ssm:GetParameters on ssm parameter/hardstate/${name === "intake" ? "tokens" : "relays"}`,
  ];
  const onLedger = (...actions: string[]) => actions.map((action) => `dynamodb:${action} on Ledger.Arn`);
  const onIndexes = (action: string, ...indexes: string[]) =>
    indexes.map((index) => `dynamodb:${action} on Ledger.Arn/index/${index}`);
  const onQueue = (queue: string, ...actions: string[]) =>
    actions.map((action) => `sqs:${action} on ${queue}.Arn`);
  it.each([
    [
      "intake",
      [
        ...onLedger("BatchGetItem", "GetItem", "Query"),
        ...onIndexes("Query", "contact", "ending", "object", "open", "time"),
        ...onLedger("UpdateItem").map((right) => `${right} of heartbeats, rejected, returned`),
        ...onQueue("Alerts", "GetQueueAttributes", "SendMessage"),
        ...onQueue(
          "DeadLetters",
          "ChangeMessageVisibility",
          "DeleteMessage",
          "GetQueueAttributes",
          "GetQueueUrl",
          "ReceiveMessage",
        ),
      ],
    ],
    [
      "worker",
      [
        ...onLedger("BatchGetItem", "GetItem", "Query", "UpdateItem"),
        ...onQueue(
          "Alerts",
          "ChangeMessageVisibility",
          "DeleteMessage",
          "GetQueueAttributes",
          "ReceiveMessage",
          "SendMessage",
        ),
        ...onQueue("DeadLetters", "GetQueueUrl", "SendMessage"),
        "ses:SendRawEmail on ses configuration-set/Mail",
        "ses:SendRawEmail on ses identity/example.com",
      ],
    ],
    [
      "sweep",
      [
        ...onLedger("BatchGetItem", "GetItem", "Query", "UpdateItem"),
        ...onIndexes("Query", "due"),
        ...onIndexes("Scan", "open"),
        ...onQueue("Alerts", "SendMessage"),
      ],
    ],
    [
      "feedback",
      [
        ...onLedger("GetItem", "Query", "UpdateItem"),
        ...onQueue("Alerts", "SendMessage"),
        ...onQueue("ReturnedUnread", "SendMessage"),
      ],
    ],
  ])("may do what it does and nothing else: %s", (name, rights) => {
    expect(linesOf(name)).toEqual([...rights, ...log(name)].sort());
  });

  it("has no rights but those of its role's own policy", () => {
    expect(propertiesOf("AWS::IAM::Policy")).toEqual([]);
    expect(propertiesOf("AWS::IAM::ManagedPolicy")).toEqual([]);
    for (const role of propertiesOf("AWS::IAM::Role")) expect(role).not.toHaveProperty("ManagedPolicyArns");
  });

  it("mails as our sender alone", () => {
    const text = JSON.stringify(propertiesOf("AWS::IAM::Role"));
    expect(text).toContain('"Condition":{"StringLike":{"ses:FromAddress":["nagios@example.com"]}}');
  });
});

describe("an alert's way", () => {
  it("gives the worker ten alerts at once, takes back those that it names, and runs five workers at most", () => {
    expect(propertiesOf("AWS::Lambda::EventSourceMapping")).toMatchObject([
      {
        BatchSize: 10,
        FunctionResponseTypes: ["ReportBatchItemFailures"],
        ScalingConfig: { MaximumConcurrency: 5 },
      },
    ]);
  });

  it("sweeps each minute, and does not repeat a sweep that failed", () => {
    const schedule = propertiesOf("AWS::Events::Rule").find(({ ScheduleExpression }) => ScheduleExpression);
    expect(schedule).toMatchObject({
      ScheduleExpression: "rate(1 minute)",
      Targets: [{ RetryPolicy: { MaximumRetryAttempts: 0 } }],
    });
  });

  it("hands bounces, complaints, delays and rejects of our own mails to feedback, and keeps those it fails on", () => {
    expect(propertiesOf("AWS::SES::ConfigurationSetEventDestination")).toMatchObject([
      {
        EventDestination: {
          Enabled: true,
          MatchingEventTypes: ["bounce", "complaint", "deliveryDelay", "reject"],
        },
      },
    ]);
    const rule = propertiesOf("AWS::Events::Rule").find(({ EventPattern }) => EventPattern) ?? {};
    expect(rule.EventPattern).toMatchObject({
      source: ["aws.ses"],
      detail: { mail: { tags: { "ses:configuration-set": [expect.anything()] } } },
    });
    const [target] = rule.Targets as { Arn: unknown; DeadLetterConfig: { Arn: unknown } }[];
    expect([asText(target?.Arn), asText(target?.DeadLetterConfig.Arn)]).toEqual([
      expect.stringMatching(/^feedback/),
      expect.stringMatching(/^ReturnedUnread/),
    ]);
    const onFailure = propertiesOf("AWS::Lambda::EventInvokeConfig").find(
      ({ DestinationConfig }) => DestinationConfig,
    );
    expect(onFailure).toMatchObject({ MaximumRetryAttempts: 2 });
  });

  it("mails again to a mailbox that has bounced, for it may have been repaired", () => {
    expect(propertiesOf("AWS::SES::ConfigurationSet")).toMatchObject([
      { SuppressionOptions: { SuppressedReasons: ["COMPLAINT"] } },
    ]);
  });
});

describe("encryption", () => {
  const refusesPlainText = (statements: Statement[]) =>
    statements.some(
      ({ Effect, Condition }) => Effect === "Deny" && Condition?.Bool?.["aws:SecureTransport"] === "false",
    );

  it("is asked of whoever speaks to a queue or the topic", () => {
    const policies = [...propertiesOf("AWS::SQS::QueuePolicy"), ...propertiesOf("AWS::SNS::TopicPolicy")];
    expect(policies).toHaveLength(4);
    for (const policy of policies)
      expect(refusesPlainText(statementsOf(policy, "PolicyDocument"))).toBe(true);
  });

  it("is there at rest for each queue and the topic", () => {
    const queues = propertiesOf("AWS::SQS::Queue");
    expect(queues.map(({ SqsManagedSseEnabled }) => SqsManagedSseEnabled)).toEqual([true, true, true]);
    for (const topic of propertiesOf("AWS::SNS::Topic")) expect(topic).toHaveProperty("KmsMasterKeyId");
  });

  it("lets CloudWatch, of this account alone, publish alarms to the encrypted topic", () => {
    const ofCloudWatch = (statements: Statement[]) =>
      statements.filter(({ Principal }) => JSON.stringify(Principal).includes("cloudwatch.amazonaws.com"));
    const [topic] = propertiesOf("AWS::SNS::TopicPolicy");
    const [key] = propertiesOf("AWS::KMS::Key");
    const here = { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } };
    expect(ofCloudWatch(statementsOf(topic ?? {}, "PolicyDocument"))).toMatchObject([
      { Effect: "Allow", Action: "sns:Publish", Condition: here },
    ]);
    expect(ofCloudWatch(statementsOf(key ?? {}, "KeyPolicy"))).toMatchObject([
      { Effect: "Allow", Action: ["kms:Decrypt", "kms:GenerateDataKey*"], Condition: here },
    ]);
  });
});

describe("an alarm", () => {
  const alarms = propertiesOf("AWS::CloudWatch::Alarm");
  const alarm = (name: string) => alarms.find(({ AlarmName }) => AlarmName === `hardstate-${name}`) ?? {};

  it("tells the topic when it begins and when it is over", () => {
    const [[topic] = []] = resourcesOf(template, "AWS::SNS::Topic");
    for (const { AlarmActions, OKActions } of alarms)
      expect([AlarmActions, OKActions]).toEqual([[{ Ref: topic }], [{ Ref: topic }]]);
  });

  it("is there for each way in which mail may stop, and for each function", () => {
    expect(alarms.map(({ AlarmName }) => AlarmName)).toEqual(
      [
        "heartbeat",
        "silent-monitor",
        "oldest-alert",
        "not-flowing",
        "dead-letters",
        "credentials-refused",
        "unavailable",
        "failed",
        "returned",
        "bounce-rate",
        "returned-unread",
        ...functionNames.map((name) => `errors-${name}`),
      ].map((name) => `hardstate-${name}`),
    );
  });

  it("tells of each mail that came back, and of bounces before AWS judges the account by them", () => {
    expect(alarm("returned")).toMatchObject({
      Namespace: "Hardstate",
      MetricName: "hardstate_returned_total",
      Threshold: 1,
      EvaluationPeriods: 1,
    });
    expect(alarm("bounce-rate")).toMatchObject({
      Namespace: "AWS/SES",
      MetricName: "Reputation.BounceRate",
      ComparisonOperator: "GreaterThanOrEqualToThreshold",
      Threshold: 0.04,
    });
  });

  it("takes silence for good news, but silence of the bridge's own pulse after 5 minutes for its end", () => {
    expect(alarm("heartbeat")).toMatchObject({
      MetricName: "hardstate_sweeps_total",
      Period: 60,
      EvaluationPeriods: 5,
      DatapointsToAlarm: 5,
      ComparisonOperator: "LessThanThreshold",
      Threshold: 1,
      TreatMissingData: "breaching",
    });
    for (const one of alarms.filter((other) => other !== alarm("heartbeat")))
      expect(one.TreatMissingData).toBe("notBreaching");
  });

  it("rings while the bridge knows of a silent monitor", () => {
    expect(alarm("silent-monitor")).toMatchObject({
      MetricName: "hardstate_silent_monitors",
      Statistic: "Maximum",
      ComparisonOperator: "GreaterThanOrEqualToThreshold",
      Threshold: 1,
      EvaluationPeriods: 1,
    });
  });

  it("rings at the first refused login, the first 503 and the first dead letter", () => {
    for (const [name, MetricName] of [
      ["credentials-refused", "hardstate_unauthorised_total"],
      ["unavailable", "hardstate_unavailable_total"],
      ["dead-letters", "ApproximateNumberOfMessagesVisible"],
    ] as const)
      expect(alarm(name)).toMatchObject({ MetricName, Threshold: 1, DatapointsToAlarm: 1 });
  });

  it("does not end between two tries of a login that is refused, which are ten minutes apart", () => {
    const { Period, EvaluationPeriods } = alarm("credentials-refused") as Record<string, number>;
    expect(Number(Period) * Number(EvaluationPeriods)).toBeGreaterThan(660);
  });

  it("is paid for as the cost says", () => {
    const metrics = alarms.flatMap((one) =>
      one.MetricName
        ? [one]
        : (one.Metrics as { MetricStat?: unknown }[]).filter(({ MetricStat }) => MetricStat),
    );
    expect(metrics).toHaveLength(idleMonth.alarmedMetrics);
  });
});

describe("the dashboard", () => {
  it("answers in its first row whether mail is flowing, with every alarm, what became of the alerts, and what waits", () => {
    const [[alarms, endings, now, ...more] = []] = widgetsOf(template);
    expect(more).toEqual([]);
    expect(alarms?.properties.title).toMatch(/^Is mail flowing\?/);
    expect(alarms?.properties.alarms).toHaveLength(propertiesOf("AWS::CloudWatch::Alarm").length);
    expect(JSON.stringify(endings?.properties.metrics)).toMatch(
      /accepted.*mailed.*suppressed.*digested.*refused.*dead/,
    );
    expect(JSON.stringify(now?.properties.metrics)).toMatch(/sweeps.*Visible.*AgeOfOldest.*dead letters/);
  });

  it("shows every number that the bridge writes", () => {
    const names = [...describeDashboard(template).matchAll(/hardstate_\w+/g)].map(([name]) => name);
    const shown = new Set(names);
    expect([...shown].sort()).toEqual(
      [
        "hardstate_delivery_seconds",
        "hardstate_silent_monitors",
        "hardstate_route_down",
        ...[
          ...["rejected", "wrong_tokens"],
          ...["accepted", "mailed", "suppressed", "digested", "refused", "dead", "deferred", "unauthorised"],
          ...["recoveries_without_problem", "sweeps", "failed", "unavailable", "returned"],
        ].map((name) => `hardstate_${name}_total`),
      ].sort(),
    );
    expect(shown.size).toBe(idleMonth.metrics + metricsOfAlerts);
  });

  it("shows when the table throttles anything that a function may do with it", () => {
    const may = functionNames.flatMap((name) => rightsOf(template, name).map(({ action }) => action));
    const body = JSON.stringify(widgetsOf(template));
    for (const action of may.filter((one) => one.startsWith("dynamodb:")))
      expect(body).toContain(`"Operation","${action.replace("dynamodb:", "")}"`);
  });

  it("leaves no gap and no overlap in its rows of 24", () => {
    for (const row of widgetsOf(template)) {
      expect(row.reduce((width, one) => width + one.width, 0)).toBe(24);
      expect(new Set(row.map(({ height }) => height)).size).toBe(1);
    }
  });
});

describe("cdk-nag", () => {
  it("finds nothing that is not explained", () => {
    const { pluginReports } = readReport();
    expect(pluginReports.map(({ pluginName, violations }) => [pluginName, violations])).toContainEqual([
      "AwsSolutions",
      [],
    ]);
    for (const { suppressedViolations = [] } of pluginReports)
      for (const { reason } of suppressedViolations) expect(reason.split(" ").length).toBeGreaterThan(12);
  });
});

describe("infra/README.md", () => {
  /** As Biome may align it, with the lines that were broken made whole. */
  const plain = (text: string) => text.replaceAll(/\s+/g, " ").replaceAll(/-{2,}/g, "---");
  const readme = plain(readFileSync("infra/README.md", "utf8"));
  it.each([
    ["cdk-nag", () => describeFindings(readReport())],
    ["alarms", () => describeAlarms(template)],
    ["dashboard", () => describeDashboard(template)],
    ["cost", describeCost],
  ])("says of %s what `npm run synth` prints", (_, description) => {
    for (const line of description().split("\n")) expect(readme).toContain(plain(line));
  });
});
