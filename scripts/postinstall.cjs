// Run by npm ci, with the Node of the machine. npm before version 11 does not link the Node that it installed: the lock
// file has one for each platform, and npm removes the link together with those of other platforms.
const { existsSync, symlinkSync } = require("node:fs");
const [release] = process.versions.node.split(".");
const own = `node-linux-${process.arch}/bin/node`;
if (existsSync(`node_modules/${own}`)) {
  if (!existsSync("node_modules/.bin/node")) symlinkSync(`../${own}`, "node_modules/.bin/node");
} else if (Number(release) < 24) {
  process.stderr.write(
    `Hardstate needs Node 24 or later, but this is Node ${process.versions.node}. On Linux for x64 and arm64 npm ci installs it: find out why it could not, and run it again. On other machines install Node 24 first.\n`,
  );
  process.exit(1);
}
