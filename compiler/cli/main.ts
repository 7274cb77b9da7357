#!/usr/bin/env node
// The command line. Every command has --help with an example, --json, and the exit codes below.

import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { calibrateCommand } from "./commands/calibrate.ts";
import { checkCommand } from "./commands/check.ts";
import { compileCommand } from "./commands/compile.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { explainCommand } from "./commands/explain.ts";
import { initCommand } from "./commands/init.ts";
import { packCommand } from "./commands/pack.ts";
import { recordScriptCommand } from "./commands/record-script.ts";
import { runModuleCommand } from "./commands/run.ts";
import { tuneCommand } from "./commands/tune.ts";
import { EXIT } from "./report.ts";
import { packageVersion } from "./version.ts";

const EPILOGUE = `\`hirec <command> --help\` shows the options of a command and an example.

Exit codes: ${EXIT.ok} done, ${EXIT.problem} something is wrong with a spec, plan, pack or input, ${EXIT.usage} the command line is wrong, ${EXIT.environment} this machine lacks something (see hirec doctor), ${EXIT.bug} a bug in hirec.`;

const parser = yargs(hideBin(process.argv))
  .scriptName("hirec")
  .usage(
    "$0 <command>\n\nCompiles layer specs in TypeScript into fused GPU kernels: init or write a spec, compile it, pack the weights, run.",
  )
  .option("json", { describe: "Print one JSON object", type: "boolean", default: false })
  .command(initCommand)
  .command(compileCommand)
  .command(checkCommand)
  .command(explainCommand)
  .command(calibrateCommand)
  .command(packCommand)
  .command(runModuleCommand)
  .command(tuneCommand)
  .command(evaluateCommand)
  .command(recordScriptCommand)
  .command(doctorCommand)
  .demandCommand(1, "Name a command.")
  .strict()
  .recommendCommands()
  .version(packageVersion())
  .alias("help", "h")
  .epilogue(EPILOGUE)
  .wrap(Math.min(110, process.stdout.columns ?? 110))
  .exitProcess(false)
  .fail((message, error, instance) => {
    if (error) throw error;
    instance.showHelp("error");
    process.stderr.write(`\n${message}\n`);
    process.exit(EXIT.usage);
  });

try {
  await parser.parseAsync();
} catch (thrown) {
  process.stderr.write(`hirec failed; this is a bug, please report it:\n${(thrown as Error)?.stack ?? thrown}\n`);
  process.exit(EXIT.bug);
}
