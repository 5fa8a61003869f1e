/**
 * What AWS charges in us-east-1, in dollars: the list prices of 2025 on AWS's pages "Amazon SQS pricing", "AWS Lambda
 * Pricing" (Arm), "Amazon DynamoDB pricing for on-demand capacity", "Amazon SES pricing", "Amazon CloudWatch pricing"
 * and "AWS KMS pricing", without the free tiers. Look there before you rely on them.
 */
export const prices = {
  sqsFifoRequest: 0.5 / 1e6,
  lambdaCall: 0.2 / 1e6,
  lambdaGigabyteSecond: 0.0000133334,
  tableWriteUnit: 0.625 / 1e6,
  tableReadUnit: 0.125 / 1e6,
  sesMail: 0.1 / 1e3,
  sesGigabyte: 0.12,
  logGigabyte: 0.5,
  alarmedMetricMonth: 0.1,
  metricMonth: 0.3,
  dashboardMonth: 3,
  keyMonth: 1,
} as const;

/** What one alert uses. A request to SQS may have 64 KB, a read unit 4 KB, a write unit 1 KB, indexes included. */
export type Use = {
  sqsRequests: number;
  lambda: readonly { calls: number; megabytes: number; milliseconds: number }[];
  tableWriteUnits: number;
  tableReadUnits: number;
  mails: number;
  mailKilobytes: number;
  logKilobytes: number;
};

/** An alert that is mailed by SES and comes alone: in a storm ten share a request, a call and a line. */
export const mailedAlert: Use = {
  // One to send, one to receive, one to delete.
  sqsRequests: 3,
  lambda: [
    { calls: 1, megabytes: 512, milliseconds: 60 },
    { calls: 1, megabytes: 256, milliseconds: 400 },
  ],
  // Claim and settle: each writes the object's entry and the journal's record, with the keys of its indexes.
  tableWriteUnits: 12,
  // Before the claim and before settling.
  tableReadUnits: 6,
  mails: 1,
  mailKilobytes: 12,
  logKilobytes: 3,
};

/** What a bridge uses in a month of 730 hours although no alert comes. */
export const idleMonth = {
  // Lambda's five pollers wait 20 s each time.
  sqsRequests: (730 * 3600 * 5) / 20,
  lambda: [{ calls: 730 * 60, megabytes: 256, milliseconds: 200 }],
  tableReadUnits: 730 * 60 * 3,
  alarmedMetrics: 18,
  metrics: 12,
  dashboards: 1,
  keys: 1,
} as const;

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const functionsCost = (lambda: Use["lambda"]): number =>
  sum(
    lambda.map(
      ({ calls, megabytes, milliseconds }) =>
        calls *
        (prices.lambdaCall + (megabytes / 1024) * (milliseconds / 1000) * prices.lambdaGigabyteSecond),
    ),
  );

/** Dollars for a million alerts that use so much each, by service. */
export const perMillionAlerts = (use: Use): Record<string, number> => {
  const kilobytesInGigabyte = 1e6;
  const each = {
    SQS: use.sqsRequests * prices.sqsFifoRequest,
    Lambda: functionsCost(use.lambda),
    DynamoDB: use.tableWriteUnits * prices.tableWriteUnit + use.tableReadUnits * prices.tableReadUnit,
    SES: use.mails * (prices.sesMail + (use.mailKilobytes / kilobytesInGigabyte) * prices.sesGigabyte),
    "CloudWatch Logs": (use.logKilobytes / kilobytesInGigabyte) * prices.logGigabyte,
  };
  return Object.fromEntries(Object.entries(each).map(([service, dollars]) => [service, dollars * 1e6]));
};

/** Dollars for a month without alerts, by service. */
export const perMonth = (use: typeof idleMonth): Record<string, number> => ({
  SQS: use.sqsRequests * prices.sqsFifoRequest,
  Lambda: functionsCost(use.lambda),
  DynamoDB: use.tableReadUnits * prices.tableReadUnit,
  "CloudWatch alarms": use.alarmedMetrics * prices.alarmedMetricMonth,
  "CloudWatch metrics": use.metrics * prices.metricMonth,
  "CloudWatch dashboard": use.dashboards * prices.dashboardMonth,
  KMS: use.keys * prices.keyMonth,
});
