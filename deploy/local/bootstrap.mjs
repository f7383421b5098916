/**
 * The first file that runs on a fresh machine: `node deploy/local/bootstrap.mjs <command> [arguments]`.
 * It needs Node 18 and npm 8 and nothing else, so it has no dependency and no syntax that an older Node cannot read:
 * somebody with Node 12 must get a sentence, not a stack trace. The work is in bootstrap-steps.mjs, loaded after the check.
 */

const nodeMajorMin = 18;
const nodeMajor = Number(process.versions.node.split(".")[0]);

if (nodeMajor < nodeMajorMin) {
  process.stderr.write(
    "This is Node " +
      process.versions.node +
      ", and the first step needs Node " +
      nodeMajorMin +
      " or newer (it then brings its own, newer Node along).\n" +
      "Install one from https://nodejs.org or with your package manager, then run the same command again.\n",
  );
  process.exitCode = 1;
} else if (process.platform === "win32") {
  process.stderr.write("Windows is not supported directly. Run the same command inside WSL 2 (Ubuntu or Debian).\n");
  process.exitCode = 1;
} else {
  import("./bootstrap-steps.mjs")
    .then(function (steps) {
      return steps.main(process.argv.slice(2));
    })
    .then(function (exitCode) {
      process.exitCode = exitCode;
    });
}
