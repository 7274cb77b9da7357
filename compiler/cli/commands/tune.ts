// hirec tune

import type { CommandModule } from "yargs";
import type { TuneOptions } from "../../tune/tune.ts";
import type { TunedLayer } from "../../tuning/file.ts";
import { showProgress } from "../progress.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly spec: string;
  readonly device: TuneOptions["device"];
  readonly profile: string | undefined;
  readonly layer: string | undefined;
  readonly weights: string | undefined;
  readonly out: string | undefined;
}

export const tuneCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "tune <spec>",
  describe: "Measure the schedules of a spec's kernels on this device; compile takes the fastest from then on",
  builder: (yargs) =>
    yargs
      .positional("spec", { describe: "A spec file (*.hire.ts)", type: "string", demandOption: true })
      .option("device", {
        describe: "Where to measure; auto takes the GPU, by CUDA where there is a card for it",
        choices: ["auto", "cuda", "webgpu", "software"] as const,
        default: "auto" as const,
      })
      .option("profile", { describe: "Device profile; default: the best that the device supports", type: "string" })
      .option("layer", { describe: "Only this layer; default: all", type: "string" })
      .option("weights", {
        describe: "A pack of the model, made by `hirec pack`; default: random weights",
        type: "string",
      })
      .option("out", { describe: "The file to write; default: NAME.tuning.json beside NAME.hire.ts", type: "string" })
      .example("$0 tune tiny-lm.hire.ts", "writes tiny-lm.tuning.json, which compile reads")
      .example("$0 tune tiny-lm.hire.ts --device cuda --layer head", ""),
  handler: (args) =>
    runCommand("tune", args.json, async () => {
      const [{ checkSpec }, { tune }, { readTuning, tuningPath }, { writeTuning }, { refuseToReplace }] =
        await Promise.all([
          import("../../index.ts"),
          import("../../tune/tune.ts"),
          import("../../tuning/file.ts"),
          import("../../tuning/write.ts"),
          import("../../../runtime/node/write-whole.ts"),
        ]);
      const { model, path } = await checkSpec(args.spec);
      const out = args.out ?? tuningPath(args.spec);
      await refuseToReplace(out, [path, ...(args.weights === undefined ? [] : [args.weights])], "HIRE-RUN-009");
      const before = await readTuning(out);
      const started = performance.now();
      const progress = showProgress(`tuning ${model.name}`, args.json);
      const summary = await tune(model, {
        device: args.device,
        ...(args.profile !== undefined && { profile: args.profile }),
        ...(args.layer !== undefined && { layer: args.layer }),
        ...(args.weights !== undefined && { pack: args.weights }),
        onProgress: progress.update,
      }).finally(progress.stop);
      const { layers, kind } = summary;
      const isTuned = Object.keys(layers).length > 0;
      if (isTuned) await writeTuning(out, before, model, summary.profile, layers);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const names = args.layer === undefined ? model.layers.map(({ name }) => name) : [args.layer];
      return {
        result: { model: model.name, ...(isTuned && { out }), ...summary },
        text: [
          `${model.name} on ${summary.device}, profile ${summary.profile}`,
          ...names.flatMap((name) => describeLayer(name, layers[name])),
          ...(isTuned && kind === "software" ? ["what is fast on the software adapter says nothing of GPUs"] : []),
          isTuned
            ? `${out} (${seconds} s): commit it, hirec compile reads it`
            : "nothing to measure, nothing was written",
        ].join("\n"),
      };
    }),
};

function describeLayer(name: string, tuned: TunedLayer | undefined): string[] {
  if (!tuned) return [`  ${name}: it has no knobs here`];
  const wrong = tuned.measured.filter(({ verdict }) => verdict === "other results").length;
  const report = wrong === 0 ? [] : [`    ${wrong} gave other results and were not taken: please report it`];
  return [`  ${name}: ${tuned.reason}`, ...report];
}
