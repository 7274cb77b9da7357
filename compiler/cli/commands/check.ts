// hirec check

import type { CommandModule } from "yargs";
import { forEachSpec, type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly spec: readonly string[];
}

export const checkCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "check <spec..>",
  describe: "Check types and meaning of specs; write nothing",
  builder: (yargs) =>
    yargs
      .positional("spec", { describe: "Spec files (*.hire.ts)", type: "string", array: true, demandOption: true })
      .example("$0 check tiny-lm.hire.ts", "says what is wrong, and where"),
  handler: (args) =>
    runCommand("check", args.json, async () => {
      const { checkSpec } = await import("../../index.ts");
      const models = await forEachSpec(args.spec, async (spec) => {
        const { model } = await checkSpec(spec);
        return { model: model.name, layers: model.layers.map(({ name }) => name) };
      });
      return {
        result: { models },
        text: models.map(({ model, layers }) => `${model}: ok, layers ${layers.join(", ")}`).join("\n"),
      };
    }),
};
