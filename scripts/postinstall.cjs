// npm ci and npm start run this. npm before version 11 does not link the Node that it installed: the lock file has one
// for each platform, and npm removes the link together with those of other platforms. On a machine without glibc, such
// as Alpine's, that Node does not run, and its link would hide the machine's own.
const { spawnSync } = require("node:child_process");
const { existsSync, mkdirSync, rmSync, symlinkSync } = require("node:fs");
const [release] = process.versions.node.split(".");
const own = `node-linux-${process.arch}/bin/node`;
const link = "node_modules/.bin/node";
if (spawnSync(`node_modules/${own}`, ["--version"]).status === 0) {
  mkdirSync("node_modules/.bin", { recursive: true });
  if (!existsSync(link)) symlinkSync(`../${own}`, link);
} else {
  rmSync(link, { force: true });
  if (Number(release) < 24) {
    process.stderr.write(
      `Hardstate needs Node 24 or later, but this is Node ${process.versions.node}. On Linux for x64 and arm64, run npm ci without --omit=optional, which installs Node 24; on other machines, install Node 24 first.\n`,
    );
    process.exit(1);
  }
}
