// hirec pack

import type { CommandModule } from "yargs";
import { packModel } from "../../../runtime/node/pack-file.ts";
import { openModule } from "../module.ts";
import { showProgress } from "../progress.ts";
import { formatBytes } from "../report.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly module: string;
  readonly weights: readonly string[];
  readonly out: string;
  readonly activations: readonly string[] | undefined;
}

export const packCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "pack <module>",
  describe: "Build estimators from weights and lay everything out as the plan wants",
  builder: (yargs) =>
    yargs
      .positional("module", { describe: "A compiled folder or a spec", type: "string", demandOption: true })
      .option("weights", {
        describe: "safetensors files (F32, F16, BF16) that hold the tensors the spec names",
        type: "string",
        array: true,
        demandOption: true,
      })
      .option("activations", {
        describe:
          'safetensors files with recorded inputs of layers, as <layer>.input F32 [tokens, inputs]: estimators then err least on such inputs; lowRank with basis: "activations" needs them',
        type: "string",
        array: true,
      })
      .option("out", { describe: "The file to write, for `run --weights`", type: "string", demandOption: true })
      .example("$0 pack generated/tiny-lm --weights model.safetensors --out tiny-lm.pack", ""),
  handler: (args) =>
    runCommand("pack", args.json, async () => {
      const { plan, warnings } = await openModule(args.module);
      const progress = showProgress(`packing ${plan.model}`, args.json);
      const started = performance.now();
      try {
        const summary = await packModel(plan, args.weights, args.out, {
          activations: args.activations ?? [],
          onProgress: progress.update,
        });
        const seconds = ((performance.now() - started) / 1000).toFixed(2);
        return {
          warnings,
          result: { model: plan.model, out: args.out, ...summary },
          text: `${plan.model}: ${args.out}, ${formatBytes(summary.bytes)} in ${summary.tensors.length} tensors (${seconds} s)`,
        };
      } finally {
        progress.stop();
      }
    }),
};
