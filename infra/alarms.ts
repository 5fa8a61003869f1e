import { Duration, RemovalPolicy, type Stack } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import type { Function as Lambda } from "aws-cdk-lib/aws-lambda";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type { Queue } from "aws-cdk-lib/aws-sqs";

/** A number that the bridge itself writes to its log, and CloudWatch reads there (EMF). */
export const ours = (metricName: string, minutes = 1, statistic: string = Stats.SUM): Metric =>
  new Metric({ namespace: "Hardstate", metricName, period: Duration.minutes(minutes), statistic });

type Watched = {
  queue: Queue;
  deadLetters: Queue;
  returnedUnread: Queue;
  lambdas: Record<string, Lambda>;
};

/**
 * The watched metric: at `atLeast`, or `below`, in `dataPoints` of `periods`. No news is good unless it says "alarm".
 */
type Watch = {
  name: string;
  metric: IMetric;
  atLeast?: number;
  below?: number;
  periods: number;
  dataPoints?: number;
  whenMissing?: "alarm";
  /** Its meaning, and what to do: the text of the alarm's mail. */
  meaning: string;
};

/** Everything that somebody is told of. */
const watched = ({ queue, deadLetters, returnedUnread, lambdas }: Watched): Watch[] => {
  const five = { period: Duration.minutes(5) };
  return [
    {
      name: "heartbeat",
      metric: ours("hardstate_sweeps_total"),
      below: 1,
      periods: 5,
      whenMissing: "alarm",
      meaning:
        "The bridge has not swept for 5 minutes: held alerts are not mailed, and perhaps nothing is. Read the log of the function sweep: a wrong setting or an unreadable parameter is named there.",
    },
    {
      name: "silent-monitor",
      // Five minutes, because a sweep may be late.
      metric: ours("hardstate_silent_monitors", 5, Stats.MAXIMUM),
      atLeast: 1,
      periods: 1,
      meaning:
        "A monitor that was heard before has been silent for as long as HARDSTATE_HEARTBEAT_AFTER says (without it, none is found silent). GET /v1/status names it. Does it run, does the cron of notify --heartbeat on its host, and does notify --test reach the bridge from there? One that is gone for good is forgotten after 30 days.",
    },
    {
      name: "oldest-alert",
      metric: queue.metricApproximateAgeOfOldestMessage({
        period: Duration.minutes(1),
        statistic: Stats.MAXIMUM,
      }),
      atLeast: 900,
      periods: 5,
      meaning:
        "An alert has waited for 15 minutes. The relay may be away or slow: the dashboard says by which route, and with which words. Nothing is lost; it is tried again by itself.",
    },
    {
      name: "not-flowing",
      // AWS leaves out of a queue's age what was received more than three times, as all is while a relay is away.
      metric: new MathExpression({
        expression: "IF(waiting + hidden > 0 AND FILL(mailed, 0) == 0, 1, 0)",
        label: "alerts wait and none is mailed",
        usingMetrics: {
          waiting: queue.metricApproximateNumberOfMessagesVisible({ ...five, statistic: Stats.MINIMUM }),
          hidden: queue.metricApproximateNumberOfMessagesNotVisible({ ...five, statistic: Stats.MINIMUM }),
          mailed: ours("hardstate_mailed_total", 5),
        },
        ...five,
      }),
      atLeast: 1,
      periods: 3,
      meaning:
        "For 15 minutes alerts have waited and none was mailed: no relay takes our mail. The dashboard says what each route answers. Nothing is lost; it is tried again by itself, and for 48 hours unless you chose otherwise.",
    },
    {
      name: "dead-letters",
      metric: deadLetters.metricApproximateNumberOfMessagesVisible({ ...five, statistic: Stats.MAXIMUM }),
      atLeast: 1,
      periods: 1,
      meaning:
        "An alert was put aside: refused by the relay, given up, or unreadable. GET /v1/queue tells the reason; when it is repaired, POST /v1/dead-letters/redrive puts it back. They are kept for 14 days.",
    },
    {
      name: "credentials-refused",
      metric: ours("hardstate_unauthorised_total", 5),
      atLeast: 1,
      // A refused login is tried again each ten minutes: in between it is not repaired.
      periods: 3,
      dataPoints: 1,
      meaning:
        "A relay refuses our login, or offers no TLS. Alerts are kept. Put the right login into the parameter of HARDSTATE_RELAYS or HARDSTATE_OAUTH: the worker reads it again by itself.",
    },
    {
      name: "unavailable",
      metric: ours("hardstate_unavailable_total", 5),
      atLeast: 1,
      periods: 1,
      meaning:
        "The bridge answered 503: queue or ledger did not take an alert. The monitoring host keeps it in its spool and sends it again. See AWS's health page, and what is throttled on the dashboard.",
    },
    {
      name: "failed",
      metric: ours("hardstate_failed_total", 5),
      atLeast: 1,
      periods: 3,
      meaning:
        'Something has gone wrong in each of three times 5 minutes. Alerts stay in the queue and are tried again. Search the logs for "event":"failed".',
    },
    {
      name: "returned",
      metric: ours("hardstate_returned_total", 5),
      atLeast: 1,
      periods: 1,
      meaning:
        'A mail did not arrive although SES or a relay had accepted it, or its recipient reported it as spam. The operators have a mail with the reason. The log of the function feedback or intake has it too, as "event":"returned".',
    },
    {
      name: "bounce-rate",
      metric: new Metric({
        namespace: "AWS/SES",
        metricName: "Reputation.BounceRate",
        period: Duration.hours(1),
        statistic: Stats.MAXIMUM,
      }),
      atLeast: 0.04,
      periods: 1,
      meaning:
        "4 % of this account's mails bounce, as AWS counts them. At 5 % AWS reviews the account, at 10 % it may stop its mail. GET /v1/status names contacts whose mails come back: correct their addresses.",
    },
    {
      name: "returned-unread",
      metric: returnedUnread.metricApproximateNumberOfMessagesVisible({ ...five, statistic: Stats.MAXIMUM }),
      atLeast: 1,
      periods: 1,
      meaning:
        "A bounce, complaint or delay of SES could not be written to the journal: it is in the queue ReturnedUnread. Read the log of the function feedback.",
    },
    ...Object.entries(lambdas).map(
      ([name, lambda]): Watch => ({
        name: `errors-${name}`,
        metric: new MathExpression({
          expression: "100 * errors / calls",
          label: `${name}: failed calls, %`,
          usingMetrics: { errors: lambda.metricErrors(five), calls: lambda.metricInvocations(five) },
          ...five,
        }),
        atLeast: 5,
        periods: 3,
        dataPoints: 2,
        meaning: `The function ${name} fails, by time or by a crash, in 5 % of its calls or more. Read its log. A setting that is wrong stops every call, and is named there.`,
      }),
    ),
  ];
};

/** A topic, encrypted, that CloudWatch and nobody else may publish to. */
const makeTopic = (stack: Stack, alarmEmail: string | undefined): Topic => {
  // CloudWatch may not use AWS's own key for SNS: alarms would vanish.
  const key = new Key(stack, "AlarmKey", { enableKeyRotation: true, removalPolicy: RemovalPolicy.DESTROY });
  const topic = new Topic(stack, "Alarms", { masterKey: key, enforceSSL: true });
  const fromHere = { StringEquals: { "aws:SourceAccount": stack.account } };
  const principals = [new ServicePrincipal("cloudwatch.amazonaws.com")];
  key.addToResourcePolicy(
    new PolicyStatement({
      principals,
      actions: ["kms:Decrypt", "kms:GenerateDataKey*"],
      resources: ["*"],
      conditions: fromHere,
    }),
  );
  // enforceSSL replaces the policy that every topic has, by which the account's alarms may publish.
  topic.addToResourcePolicy(
    new PolicyStatement({
      principals,
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      conditions: fromHere,
    }),
  );
  if (alarmEmail) topic.addSubscription(new EmailSubscription(alarmEmail));
  return topic;
};

/** An alarm for everything that somebody is to be told of; each says when it begins and when it is over. */
export const makeAlarms = (stack: Stack, parts: Watched, alarmEmail: string | undefined): Alarm[] => {
  const tell = new SnsAction(makeTopic(stack, alarmEmail));
  return watched(parts).map(
    ({ name, metric, atLeast, below, periods, dataPoints = periods, whenMissing, meaning }) => {
      const alarm = new Alarm(stack, `alarm-${name}`, {
        alarmName: `${stack.stackName}-${name}`,
        alarmDescription: meaning,
        metric,
        threshold: below ?? atLeast ?? 1,
        comparisonOperator:
          below === undefined
            ? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
            : ComparisonOperator.LESS_THAN_THRESHOLD,
        evaluationPeriods: periods,
        datapointsToAlarm: dataPoints,
        treatMissingData:
          whenMissing === "alarm" ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
      });
      alarm.addAlarmAction(tell);
      alarm.addOkAction(tell);
      return alarm;
    },
  );
};
