/**
 * AWS's list prices of 2025 in us-east-1, in dollars, without the free tiers. They come from its pages "Amazon SQS
 * pricing", "AWS Lambda Pricing" (Arm), "Amazon DynamoDB pricing for on-demand capacity", "Amazon SES pricing", "Amazon
 * CloudWatch pricing" and "AWS KMS pricing". Look there before you rely on them.
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

/**
 * The resources that one alert uses. A request to SQS may have 64 KB, a read unit 4 KB, a write unit 1 KB, indexes
 * included: longer output or names may take a unit more of each.
 */
export type Use = {
  sqsRequests: number;
  lambda: readonly { calls: number; megabytes: number; milliseconds: number }[];
  tableWriteUnits: number;
  tableReadUnits: number;
  mails: number;
  mailKilobytes: number;
  logKilobytes: number;
};

/** Lambda's own START, END and REPORT of two calls: an estimate. */
export const lambdaLinesKilobytes = 0.8;

/**
 * An alert that is mailed by SES and comes alone: in a storm ten share a request, a call and a line. A test counts all
 * but the milliseconds, which are estimates for AWS, and fails with the number that belongs here.
 */
export const mailedAlert: Use = {
  // One to send, one to receive, one to delete.
  sqsRequests: 3,
  lambda: [
    { calls: 1, megabytes: 512, milliseconds: 60 },
    { calls: 1, megabytes: 256, milliseconds: 400 },
  ],
  // Claim and settle write entry and record, the claim also event, run and the mail's name; 8 of them are the indexes'.
  // One counts the contact's mails.
  tableWriteUnits: 19,
  // The entry, what belongs to it, the contact's entry, and the route's state twice.
  tableReadUnits: 8,
  mails: 1,
  mailKilobytes: 5.2,
  logKilobytes: 1.1 + lambdaLinesKilobytes,
};

/** An alert that comes alone and repeats what its contact was told. */
export const suppressedAlert: Use = {
  ...mailedAlert,
  lambda: [
    { calls: 1, megabytes: 512, milliseconds: 60 },
    { calls: 1, megabytes: 256, milliseconds: 60 },
  ],
  // One write of each; 4 of them are the indexes'. No mail is counted.
  tableWriteUnits: 9,
  tableReadUnits: 6,
  mails: 0,
  mailKilobytes: 0,
  logKilobytes: 0.9 + lambdaLinesKilobytes,
};

/** The resources of a bridge in a month of 730 hours without any alert. */
export const idleMonth = {
  // Lambda's five pollers wait 20 s each time.
  sqsRequests: (730 * 3600 * 5) / 20,
  lambda: [{ calls: 730 * 60, megabytes: 256, milliseconds: 200 }],
  tableReadUnits: 730 * 60 * 4.5,
  alarmedMetrics: 21,
  // CloudWatch bills a metric for the hours in which it is written: without alerts that is hardstate_sweeps_total.
  metrics: 1,
  dashboards: 1,
  keys: 1,
} as const;

/** Metrics more that are written as alerts come, monitors are silent or routes down; each is billed for those hours. */
export const metricsOfAlerts = 17;

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
