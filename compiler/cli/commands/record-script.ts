// hirec record-script

import type { CommandModule } from "yargs";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly spec: string;
  readonly out: string;
}

export const recordScriptCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "record-script <spec>",
  describe: "Write a Python script that records the inputs of the layers from a model of Hugging Face",
  builder: (yargs) =>
    yargs
      .positional("spec", { describe: "A spec", type: "string", demandOption: true })
      .option("out", { describe: "The file to write", type: "string", default: "record.py" })
      .example("$0 record-script llama.hire.ts", "then: python record.py MODEL TEXT.txt recorded.safetensors"),
  handler: (args) =>
    runCommand("record-script", args.json, async () => {
      const [{ checkSpec }, { recordScript }, { writeWhole }] = await Promise.all([
        import("../../index.ts"),
        import("../../record-script.ts"),
        import("../../../runtime/node/write-whole.ts"),
      ]);
      const { model } = await checkSpec(args.spec);
      const text = recordScript(model);
      await writeWhole(args.out, "HIRE-CAL-006", (handle) => handle.writeFile(text));
      const layers = model.layers.map(({ name }) => name);
      return {
        result: { model: model.name, out: args.out, layers },
        text: `${args.out} records ${layers.join(", ")}\nnext: python ${args.out} MODEL TEXT.txt recorded.safetensors`,
      };
    }),
};
