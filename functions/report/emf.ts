import type { Event } from "./event.ts";
import { asJson } from "./log.ts";
import { samplesOf } from "./metrics.ts";

/**
 * One line of JSON from which CloudWatch also makes metrics, all without dimensions: each would be billed as one more
 * (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
 */
export const asEmf = (event: Event, at: number): string => {
  const samples = samplesOf(event);
  if (samples.length === 0) return asJson(event, at);
  const Metrics = samples.map(({ name: Name }) => ({
    Name,
    Unit: Name === "hardstate_delivery_seconds" ? "Seconds" : "Count",
  }));
  const _aws = { Timestamp: at, CloudWatchMetrics: [{ Namespace: "Hardstate", Dimensions: [[]], Metrics }] };
  const values = Object.fromEntries(samples.map(({ name, value }) => [name, value]));
  const line = { ...event, ...values, _aws };
  return asJson(line, at);
};
