// hirec pack

import type { CommandModule } from "yargs";
import { packAll } from "../../../runtime/node/shard-packs.ts";
import { formatBytes } from "../../format-bytes.ts";
import { openModule } from "../module.ts";
import { showProgress } from "../progress.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly module: string;
  readonly weights: readonly string[];
  readonly out: string;
  readonly activations: readonly string[] | undefined;
  readonly shard: number | undefined;
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
      .option("out", {
        describe: "The file to write, for `run --weights`; of a model with 4 shards OUT.0-of-4 to OUT.3-of-4",
        type: "string",
        demandOption: true,
      })
      .option("shard", { describe: "Only the pack of this shard, counted from 0", type: "number" })
      .example("$0 pack generated/tiny-lm --weights model.safetensors --out tiny-lm.pack", ""),
  handler: (args) =>
    runCommand("pack", args.json, async () => {
      const { plan, warnings } = await openModule(args.module);
      const progress = showProgress(`packing ${plan.model}`, args.json);
      const started = performance.now();
      try {
        const files = await packAll(plan, args.weights, args.out, {
          activations: args.activations ?? [],
          ...(args.shard !== undefined && { shard: args.shard }),
          onProgress: progress.update,
        });
        const seconds = ((performance.now() - started) / 1000).toFixed(2);
        const lines = files.map(
          ({ path, digest, bytes, tensors }) =>
            `${path}, ${formatBytes(bytes)} in ${tensors.length} tensors, digest ${digest}`,
        );
        const { path: _, ...whole } = files[0]!;
        return {
          warnings,
          result: { model: plan.model, out: args.out, ...(plan.shards ? { shards: files } : whole) },
          text: `${plan.model}: ${lines.join("\n  ")} (${seconds} s)`,
        };
      } finally {
        progress.stop();
      }
    }),
};
