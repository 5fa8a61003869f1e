// Run by npm ci, with whatever Node there is. Before version 11, npm does not link the Node that it installed itself:
// the lock file has one for each platform, and npm takes the link away with those that it leaves out.
const { existsSync, symlinkSync } = require("node:fs");
const [release] = process.versions.node.split(".");
const own = `node-linux-${process.arch}/bin/node`;
if (existsSync(`node_modules/${own}`)) {
  if (!existsSync("node_modules/.bin/node")) symlinkSync(`../${own}`, "node_modules/.bin/node");
} else if (Number(release) < 24) {
  process.stderr.write(
    `Hardstate needs Node 24 or later, and this is Node ${process.versions.node}. On Linux for x64 and arm64 npm ci installs it: look why it could not, and run it again. On other machines install Node first.\n`,
  );
  process.exit(1);
}
