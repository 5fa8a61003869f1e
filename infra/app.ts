import { App, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { complain } from "../functions/report/log.ts";
import { readOptions } from "./options.ts";
import { bridge } from "./stack.ts";

const app = new App();
const reading = readOptions(app.node.getAllContext());
if (!reading.ok) {
  complain("These context values are wrong (docs/install/aws.md, Choices):\n");
  for (const { field, expected } of reading.faults) complain(`  ${field} needs ${expected}`);
  process.exit(2);
}
bridge(app, reading.value);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { verbose: true }));
