import { panel, text } from "./svg.ts";

type Runtime = { name: string; is: string; parts: Record<"HTTP" | "queue" | "worker" | "ledger", string> };

const runtimes: readonly Runtime[] = [
  {
    name: "Node",
    is: "one process on one machine",
    parts: { HTTP: "its own server", queue: "SQLite", worker: "the same process", ledger: "SQLite" },
  },
  {
    name: "AWS",
    is: "one CDK stack",
    parts: {
      HTTP: "Lambda function URL",
      queue: "SQS FIFO",
      worker: "Lambda function",
      ledger: "DynamoDB",
    },
  },
  {
    name: "Cloudflare",
    is: "one Worker, and a queue on AWS",
    parts: { HTTP: "Worker", queue: "SQS FIFO", worker: "cron of each minute", ledger: "Durable Object" },
  },
];

const arrow = (x: number, from: number, to: number): string =>
  `<path class="way" d="M${x} ${from}V${to}m-5 -6l5 6 5-6"/>`;

const column = ({ name, is, parts }: Runtime, index: number): string => {
  const [x, y] = [24 + index * 268, 188];
  const rows = Object.entries(parts).map(([part, by], row) => [
    text(x + 16, y + 76 + row * 24, part, "quiet"),
    text(x + 80, y + 76 + row * 24, by),
  ]);
  return [
    `<rect class="box" x="${x}" y="${y}" width="256" height="168" rx="8"/>`,
    text(x + 16, y + 30, name, "head"),
    text(x + 16, y + 50, is, "quiet small"),
    ...rows.flat(),
    arrow(x + 128, 162, y - 3),
    arrow(x + 128, y + 168, 389),
  ].join("\n");
};

/** runtimes.svg: what stands for HTTP, queue, worker and ledger on each runtime. */
export const runtimesDrawing = (): string =>
  panel({
    width: 840,
    height: 452,
    title: "The same code on Node, AWS and Cloudflare",
    body: [
      '<rect class="box" x="24" y="20" width="792" height="46" rx="8"/>',
      text(420, 48, "Nagios, Naemon, Icinga 2: notify posts each alert by HTTPS", "middle"),
      arrow(420, 66, 93),
      '<rect class="core" x="24" y="96" width="792" height="66" rx="8"/>',
      text(420, 124, "The same code on each runtime", "middle head"),
      text(
        420,
        147,
        "take the alert → queue → ask the ledger: is it news? → write the mail → deliver it",
        "middle",
      ),
      ...runtimes.map(column),
      '<rect class="box" x="24" y="392" width="792" height="46" rx="8"/>',
      text(420, 420, "your SMTP relay or Amazon SES → the contact's mailbox", "middle"),
    ].join("\n"),
  });
