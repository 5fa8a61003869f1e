// Run before the program, which an older Node cannot even read.
const [release] = process.versions.node.split(".");
if (Number(release) < 24) {
  process.stderr.write(
    `Hardstate needs Node 24 or later, and this is Node ${process.versions.node}. On Linux, npm ci installs it for x64 and arm64: run npm ci again. On other machines install it yourself, and put it first in PATH.\n`,
  );
  process.exit(1);
}
