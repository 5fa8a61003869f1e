import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { idleMonth, mailedAlert, perMillionAlerts, perMonth, suppressedAlert } from "./cost.ts";

/** A CloudFormation template, as far as it is read here. */
export type Template = {
  Resources: Record<string, { Type: string; Properties: Record<string, unknown> }>;
};

/** The findings of the plugins of `cdk synth`. */
export type ValidationReport = {
  pluginReports: {
    pluginName: string;
    conclusion: string;
    violations: unknown[];
    suppressedViolations?: {
      ruleName: string;
      reason: string;
      violatingConstructs: { constructPath: string }[];
    }[];
  }[];
};

type Widget = {
  type: "alarm" | "metric" | "text" | "log";
  y: number;
  width: number;
  height: number;
  properties: {
    title?: string;
    markdown?: string;
    alarms?: string[];
    metrics?: unknown[][];
    stat?: string;
    query?: string;
  };
};

/** The facts that tests need before the stack is anywhere: queue, dead letters and table, as the template has them. */
export const storesOf = ({ Resources }: Template): Template => ({
  Resources: Object.fromEntries(
    Object.entries(Resources).filter(([, { Type }]) =>
      ["AWS::SQS::Queue", "AWS::DynamoDB::Table"].includes(Type),
    ),
  ),
});

/** A value of the template as text: what is only known when it is deployed is there by its name. */
export const asText = (value: unknown): string => {
  if (typeof value === "string") return value;
  const { Ref, "Fn::GetAtt": attribute, "Fn::Join": join } = value as Record<string, unknown>;
  if (Array.isArray(join)) return (join[1] as unknown[]).map(asText).join(join[0] as string);
  return Array.isArray(attribute) ? attribute.join(".") : String(Ref);
};

const ofType = (template: Template, type: string) =>
  Object.values(template.Resources)
    .filter(({ Type }) => Type === type)
    .map(({ Properties }) => Properties);

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** Name and meaning of each alarm, and what to do. */
export const describeAlarms = (template: Template): string =>
  ofType(template, "AWS::CloudWatch::Alarm")
    .map(({ AlarmName, AlarmDescription }) => `- \`${AlarmName}\`: ${AlarmDescription}`)
    .join("\n");

const optionsOf = (metric: unknown[]) =>
  metric.find((part) => typeof part === "object") as
    | { label?: string; expression?: string; visible?: boolean }
    | undefined;

/** `[namespace, name, dimension, value…, options]`, or `[{ expression, label }]`. */
const describeMetric = (metric: unknown[]): string => {
  const options = optionsOf(metric);
  const [namespace, name] = metric;
  const named = namespace === "Hardstate" ? name : `${namespace} ${name}`;
  const what = typeof namespace === "string" ? named : options?.expression;
  const label = options?.label === name ? undefined : options?.label;
  return [what, label && `(${label})`].filter(Boolean).join(" ");
};

const describeWidget = ({ type, properties }: Widget): string => {
  if (type === "alarm") return `the state of all ${properties.alarms?.length} alarms`;
  if (type === "log")
    return `the worker's log: ${properties.query?.replace(/^SOURCE '[^']*'\s*\| /, "").replaceAll("\n", " ")}`;
  return (properties.metrics ?? [])
    .filter((metric) => optionsOf(metric)?.visible !== false)
    .map(describeMetric)
    .join(", ");
};

/** The dashboard's widgets as CloudWatch will show them, by row. */
export const widgetsOf = (template: Template): Widget[][] => {
  const body = asText(ofType(template, "AWS::CloudWatch::Dashboard")[0]?.DashboardBody);
  const { widgets } = JSON.parse(body) as { widgets: Widget[] };
  return [...Map.groupBy(widgets, ({ y }) => y).values()];
};

/** Every widget, by row: its title and what it shows. */
export const describeDashboard = (template: Template): string =>
  widgetsOf(template)
    .flatMap((row, index) =>
      row.map((widget) => {
        const title = widget.properties.title ?? widget.properties.markdown;
        return `- Row ${index + 1}, ${[title, describeWidget(widget)].filter(Boolean).join(": ")}`;
      }),
    )
    .join("\n");

const priceTable = (head: string, lines: Record<string, number>): string => {
  const total = Object.values(lines).reduce((all, dollars) => all + dollars, 0);
  const rows = [...Object.entries(lines), ["**together**", total] as const];
  return table(
    [head, "dollars"],
    rows.map(([service, dollars]) => [service, dollars.toFixed(2)]),
  );
};

/** The cost of a million alerts, mailed and suppressed, and of a month without any. */
export const describeCost = (): string =>
  [
    priceTable("a million mailed alerts", perMillionAlerts(mailedAlert)),
    priceTable("a million suppressed alerts", perMillionAlerts(suppressedAlert)),
    priceTable("a month without alerts", perMonth(idleMonth)),
  ].join("\n\n");

/** The findings of cdk-nag, and the reason for each. */
export const describeFindings = ({ pluginReports }: ValidationReport): string =>
  pluginReports
    .flatMap(({ pluginName, conclusion, violations, suppressedViolations = [] }) => [
      `cdk-nag ${pluginName}: ${conclusion}, ${violations.length} findings, ${suppressedViolations.length} acknowledged`,
      ...suppressedViolations.map(
        ({ ruleName, reason, violatingConstructs }) =>
          `  ${ruleName} at ${violatingConstructs.map(({ constructPath }) => constructPath).join(", ")}:\n    ${reason}`,
      ),
    ])
    .join("\n");

if (import.meta.main) {
  const read = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, "cdk.out", name), "utf8"));
  const template: Template = read("hardstate.template.json");
  if (process.argv.includes("--write"))
    writeFileSync(
      join(import.meta.dirname, "stores.json"),
      `${JSON.stringify(storesOf(template), undefined, 2)}\n`,
    );
  const parts = [
    describeFindings(read("validation-report.json")),
    describeAlarms(template),
    describeDashboard(template),
    describeCost(),
  ];
  process.stdout.write(`${parts.join("\n\n")}\n`);
}
