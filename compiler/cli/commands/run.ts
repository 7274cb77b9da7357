// hirec run

import type { CommandModule } from "yargs";
import type { MeasuredRecall } from "../../../runtime/collective/recall-monitor.ts";
import type { RunOptions, RunSummary } from "../../../runtime/node/run-file.ts";
import { openModule, TARGETS } from "../module.ts";
import { showProgress } from "../progress.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly module: string;
  readonly weights: string;
  readonly input: string;
  readonly output: string;
  readonly layer: string | undefined;
  readonly device: RunOptions["device"];
  readonly profile: string | undefined;
  readonly monitor: number | undefined;
}

export const runModuleCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "run <module>",
  describe: "Run layers on tokens from a file",
  builder: (yargs) =>
    yargs
      .positional("module", { describe: "A compiled folder or a spec", type: "string", demandOption: true })
      .option("weights", {
        describe:
          "The file that `pack` wrote; of a model with shards the name that it was given, without their numbers",
        type: "string",
        demandOption: true,
      })
      .option("input", {
        describe:
          "safetensors with <layer>.input F32 [tokens, inputs]; of heads also <layer>.mask U8 [rows], 1 where a row may be returned (optional), and <layer>.uniforms F32 [tokens] in [0, 1) to draw by (with multinomial)",
        type: "string",
        demandOption: true,
      })
      .option("output", {
        describe:
          "Gets, of heads, <layer>.indices U32 and <layer>.values F32 [tokens, k], and where the spec asks for them <layer>.certified U8, <layer>.lse F32 and <layer>.sampled U32 [tokens]; of feed-forwards <layer>.output F32 [tokens, outputs] and <layer>.groups U32 [tokens, k]",
        type: "string",
        demandOption: true,
      })
      .option("layer", { describe: "Only this layer; default: all whose input the file holds", type: "string" })
      .option("device", {
        describe:
          "Where to run; auto takes the GPU, by CUDA where the module has kernels for it, else the software adapter; reference is float64 on the CPU",
        choices: ["auto", "cuda", "webgpu", "software", "reference"] as const,
        default: "auto" as const,
      })
      .option("profile", { describe: "Device profile; default: the best that the device supports", type: "string" })
      .option("monitor", {
        describe:
          "Measure, on every so many-th token, which share of the best groups the shards of feed-forwards compute together",
        type: "number",
      })
      .example("$0 run generated/tiny-lm --weights tiny-lm.pack --input x.safetensors --output y.safetensors", "")
      .example(
        "mpirun -n 4 $0 run generated/tiny-lm-4 --weights t.pack --input x.safetensors --output y.safetensors",
        "a process per shard",
      ),
  handler: (args) =>
    runCommand("run", args.json, async () => {
      const { runFile } = await import("../../../runtime/node/run-file.ts");
      const { warnings, ...compiled } = await openModule(args.module, TARGETS[args.device]);
      const started = performance.now();
      const progress = showProgress(`running ${compiled.plan.model}`, args.json);
      const summary = await runFile(compiled, {
        pack: args.weights,
        input: args.input,
        output: args.output,
        device: args.device,
        ...(args.layer !== undefined && { layer: args.layer }),
        ...(args.profile !== undefined && { profile: args.profile }),
        ...(args.monitor !== undefined && { monitor: { every: args.monitor } }),
        onProgress: progress.update,
      }).finally(progress.stop);
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      const layers = summary.layers.map(describeLayer).join(", ");
      const where = summary.profile === undefined ? summary.device : `${summary.device}, profile ${summary.profile}`;
      const over = summary.shards && `\n${summary.shards.count} shards, exchange: ${summary.shards.engine}`;
      const recalls = summary.layers.flatMap(({ layer, recall }) =>
        recall ? [`\n${describeRecall(layer, recall)}`] : [],
      );
      const isFirst = summary.shards?.own.includes(0) ?? true;
      // Of several processes one speaks for all.
      if (!isFirst) return {};
      return {
        warnings,
        result: { model: compiled.plan.model, output: args.output, ...summary },
        text: `${compiled.plan.model}: ${layers}, ${args.output} (${seconds} s)\nran on ${where}${over ?? ""}${recalls.join("")}`,
      };
    }),
};

function describeRecall(layer: string, { tokens, mean, worst, open, atLeast }: MeasuredRecall): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const unknown = open === 0 ? "" : `; shards ran out of candidates on ${open}, so at least ${percent(atLeast)}`;
  return `${layer}: recall over shards ${percent(mean)} on ${tokens} tokens, worst ${percent(worst)}${unknown}`;
}

function describeLayer({ layer, tokens, certified }: RunSummary["layers"][number]): string {
  const proven = certified === undefined ? "" : `, ${certified} of them certified`;
  return `${layer} on ${tokens} tokens${proven}`;
}
