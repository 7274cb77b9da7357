// hirec doctor

import type { CommandModule } from "yargs";
import { diagnose, type Finding } from "../diagnose.ts";
import { EXIT } from "../report.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

const SIGNS = { works: "ok  ", absent: "none", broken: "FAIL" } as const;

export const doctorCommand: CommandModule<GlobalArguments, GlobalArguments> = {
  command: "doctor",
  describe: "Show what this machine can run, proven by running it",
  builder: (yargs) => yargs.example("$0 doctor", "compiles a small head and runs it on every device found"),
  handler: (args) =>
    runCommand("doctor", args.json, async () => {
      const findings = await diagnose();
      const device = findings.some(({ name, state }) => name.startsWith("device: ") && state === "works");
      const broken = findings.some(({ state }) => state === "broken");
      return {
        result: { ok: device && !broken, findings },
        text: findings.map(describe).join("\n"),
        exitCode: device && !broken ? EXIT.ok : EXIT.environment,
      };
    }),
};

function describe({ name, state, detail, fix }: Finding): string {
  return `${SIGNS[state]}  ${name.padEnd(22)} ${detail}${fix === undefined ? "" : `\n      ${" ".repeat(22)} fix: ${fix}`}`;
}
