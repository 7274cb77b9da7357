// hirec init

import type { CommandModule } from "yargs";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly dir: string;
}

export const initCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "init [dir]",
  describe: "Write a spec, a test and a script to start from",
  builder: (yargs) =>
    yargs
      .positional("dir", { describe: "A new folder or a package of yours", type: "string", default: "." })
      .example("$0 init my-head", "writes my-head/lm-head.hire.ts, its test and package.json"),
  handler: (args) =>
    runCommand("init", args.json, async () => {
      const { startProject } = await import("../init.ts");
      const started = await startProject(args.dir);
      const { created, extended, next } = started;
      const lines = [`created ${created.join(", ")}`, ...extended.map((file) => `added a script to ${file}`)];
      return {
        result: { ...started },
        text: [...lines, "", "Next:", ...next.map((command) => `  ${command}`)].join("\n"),
      };
    }),
};
