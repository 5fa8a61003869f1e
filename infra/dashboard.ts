import { Duration, type Stack } from "aws-cdk-lib";
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type GraphWidgetProps,
  LogQueryWidget,
  PeriodOverride,
  SingleValueWidget,
  Stats,
  TextWidget,
} from "aws-cdk-lib/aws-cloudwatch";
import { Operation, type Table } from "aws-cdk-lib/aws-dynamodb";
import type { Function as Lambda } from "aws-cdk-lib/aws-lambda";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { ours } from "./alarms.ts";

type Watched = {
  alarms: Alarm[];
  queue: Queue;
  deadLetters: Queue;
  table: Table;
  lambdas: { intake: Lambda; worker: Lambda; sweep: Lambda; feedback: Lambda };
};

/** Numbers that the bridge counts, by their names without what these have in common. */
const counts = (...names: string[]) =>
  names.map((name) => ours(`hardstate_${name}_total`).with({ label: name.replaceAll("_", " ") }));

const graph = (title: string, left: GraphWidgetProps["left"], more: GraphWidgetProps = {}) =>
  new GraphWidget({ title, width: 8, height: 6, left, leftYAxis: { min: 0, showUnits: false }, ...more });
const heading = (markdown: string) => new TextWidget({ markdown, width: 24, height: 1 });

/** One page for whoever was woken: is mail flowing, if not where is it stuck, and what does it cost. */
export const makeDashboard = (
  stack: Stack,
  { alarms, queue, deadLetters, table, lambdas }: Watched,
): void => {
  const minute = { period: Duration.minutes(1) };
  const waiting = queue.metricApproximateNumberOfMessagesVisible({
    ...minute,
    statistic: Stats.MAXIMUM,
    label: "waiting",
  });
  const inHand = queue.metricApproximateNumberOfMessagesNotVisible({
    ...minute,
    statistic: Stats.MAXIMUM,
    label: "in hand, or waiting for a relay",
  });
  const age = queue.metricApproximateAgeOfOldestMessage({
    ...minute,
    statistic: Stats.MAXIMUM,
    label: "oldest, seconds",
  });
  const dead = deadLetters.metricApproximateNumberOfMessagesVisible({
    ...minute,
    statistic: Stats.MAXIMUM,
    label: "dead letters",
  });
  const silent = ours("hardstate_silent_monitors", 1, Stats.MAXIMUM).with({ label: "silent monitors" });
  const down = ours("hardstate_route_down", 1, Stats.MAXIMUM).with({ label: "routes down" });
  const each = Object.entries(lambdas);
  const seconds = (statistic: string, label: string) =>
    ours("hardstate_delivery_seconds", 5, statistic).with({ label });

  new Dashboard(stack, "Dashboard", {
    dashboardName: stack.stackName,
    defaultInterval: Duration.hours(3),
    periodOverride: PeriodOverride.INHERIT,
    widgets: [
      [
        new AlarmStatusWidget({
          title: "Is mail flowing? Yes, if all is green",
          width: 8,
          height: 6,
          alarms,
        }),
        new SingleValueWidget({
          title: "Results of the alerts of this time",
          width: 8,
          height: 6,
          setPeriodToTimeRange: true,
          metrics: counts("accepted", "mailed", "suppressed", "digested", "refused", "dead"),
        }),
        new SingleValueWidget({
          title: "Now (sweeps: 1 a minute, or the bridge is down)",
          width: 8,
          height: 6,
          metrics: [ours("hardstate_sweeps_total"), waiting, inHand, age, dead, down, silent],
        }),
      ],
      [
        graph(
          "In and out, each minute",
          counts("accepted", "mailed", "suppressed", "recoveries_without_problem"),
          { width: 12 },
        ),
        graph(
          "From acceptance to the relay's 250, seconds",
          [
            seconds("p50", "half of the mails"),
            seconds("p95", "95 of 100"),
            seconds(Stats.MAXIMUM, "slowest"),
          ],
          { width: 12 },
        ),
      ],
      [
        heading(
          "**Where is it stuck?** An alert waits in the queue; a relay that is away makes it older, not lost.",
        ),
      ],
      [
        graph("Oldest alert in the queue, seconds", [age], {
          leftAnnotations: [{ value: 900, label: "alarm: 15 minutes" }],
        }),
        graph("Alerts in the queue", [waiting, inHand, dead]),
        graph(
          "Attempts and requests that failed, each minute",
          counts("deferred", "unauthorised", "refused", "rejected", "wrong_tokens", "unavailable", "failed"),
        ),
      ],
      [
        new LogQueryWidget({
          title: "Failed attempts by route, with the relay's last words",
          width: 24,
          height: 6,
          logGroupNames: [lambdas.worker.logGroup.logGroupName],
          queryLines: [
            'filter event = "attempt-failed"',
            "stats count(*) as attempts, latest(reply) as said, max(@timestamp) as last by route, result",
            "sort last desc",
          ],
        }),
      ],
      [heading("**What does it cost, and is it well?**")],
      [
        graph(
          "Calls, each minute",
          each.map(([label, one]) => one.metricInvocations({ ...minute, label })),
        ),
        graph(
          "Errors of functions",
          each.map(([label, one]) => one.metricErrors({ ...minute, label })),
        ),
        graph(
          "Throttled calls",
          each.map(([label, one]) => one.metricThrottles({ ...minute, label })),
        ),
      ],
      [
        graph(
          "Time of a call, 95 of 100, milliseconds",
          each.map(([label, one]) => one.metricDuration({ ...minute, label, statistic: "p95" })),
        ),
        graph(
          "Units of the table, each minute",
          [
            table.metricConsumedReadCapacityUnits({ ...minute, label: "read" }),
            table.metricConsumedWriteCapacityUnits({ ...minute, label: "written" }),
          ],
          {
            // One by one: a sum of metrics has no value where one of them has none.
            right: [
              ...[Operation.GET_ITEM, Operation.BATCH_GET_ITEM, Operation.QUERY, Operation.SCAN],
              Operation.UPDATE_ITEM,
            ].map((operation) =>
              table.metricThrottledRequestsForOperation(operation, {
                ...minute,
                label: `throttled ${operation}`,
              }),
            ),
          },
        ),
        graph("Mail that came back: bounces and complaints", [ours("hardstate_returned_total", 5)]),
      ],
    ],
  });
};
