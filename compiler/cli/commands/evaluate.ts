// hirec evaluate

import type { CommandModule } from "yargs";
import type { RunDevice } from "../../../runtime/node/open-layers.ts";
import type { EvaluationReport } from "../../report/evaluation.ts";
import { openModule, TARGETS } from "../module.ts";
import { showProgress } from "../progress.ts";
import { formatDiagnostic, wantsColor } from "../report.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly module: string;
  readonly weights: string;
  readonly exact: readonly string[];
  readonly activations: readonly string[];
  readonly layer: readonly string[] | undefined;
  readonly device: RunDevice;
  readonly profile: string | undefined;
  readonly tokens: number;
  readonly recall: number;
  readonly report: string | undefined;
}

export const evaluateCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "evaluate <module>",
  describe: "Compare a packed module on a device with the exact layers, on held-out inputs",
  builder: (yargs) =>
    yargs
      .positional("module", { describe: "A compiled folder or a spec", type: "string", demandOption: true })
      .option("weights", { describe: "The file that `pack` wrote", type: "string", demandOption: true })
      .option("exact", {
        describe: "safetensors files that it was packed from",
        type: "string",
        array: true,
        demandOption: true,
      })
      .option("activations", {
        describe:
          "safetensors files with recorded inputs of layers, as <layer>.input F32 [tokens, inputs], other ones than `pack` and `calibrate` were given",
        type: "string",
        array: true,
        demandOption: true,
      })
      .option("layer", { describe: "Only these layers; default: all that are recorded", type: "string", array: true })
      .option("device", {
        describe: "Where to run, as of `run`",
        choices: ["auto", "cuda", "webgpu", "software", "reference"] as const,
        default: "auto" as const,
      })
      .option("profile", { describe: "Device profile; default: the best that the device supports", type: "string" })
      .option("tokens", { describe: "Tokens to take of a recording, at most: its last", type: "number", default: 512 })
      .option("recall", { describe: "Warn where recall is below", type: "number", default: 0.95 })
      .option("report", { describe: "Write the results, with plots, to this HTML file", type: "string" })
      .example(
        "$0 evaluate generated/tiny-lm --weights tiny-lm.pack --exact model.safetensors --activations other.safetensors",
        "",
      ),
  handler: (args) =>
    runCommand("evaluate", args.json, async () => {
      const [{ evaluateFile }, { requestProduct }, { formatEvaluation }, { warningsOf }] = await Promise.all([
        import("../../../runtime/node/evaluate-file.ts"),
        import("../../../runtime/node/onnx-product.ts"),
        import("../evaluate/text.ts"),
        import("../evaluate/warnings.ts"),
      ]);
      if (args.report !== undefined) {
        const { refuseReport } = await import("../report-file.ts");
        await refuseReport(args.report, [args.module, args.weights, ...args.exact, ...args.activations]);
      }
      const compiled = await openModule(args.module, TARGETS[args.device]);
      const { model } = compiled.plan;
      const progress = showProgress(`evaluating ${model}`, args.json);
      const summary = await evaluateFile(compiled, {
        ...{ pack: args.weights, exact: args.exact, activations: args.activations },
        ...{ device: args.device, tokens: args.tokens, product: await requestProduct() },
        ...(args.layer && { layers: args.layer }),
        ...(args.profile !== undefined && { profile: args.profile }),
        onProgress: progress.update,
      }).finally(progress.stop);
      const warnings = summary.layers.flatMap((layer) =>
        warningsOf(layer, args.recall).map((warning) => ({ severity: "warning" as const, ...warning })),
      );
      const said = warnings.map((warning) => formatDiagnostic(warning, wantsColor(process.stdout)));
      if (args.report !== undefined) {
        await writeEvaluationReport(args.report, { summary, warnings, plan: compiled.plan, leastRecall: args.recall });
      }
      const written = args.report === undefined ? [] : [`report: ${args.report}`];
      return {
        result: { model, ...summary, warnings },
        text: [formatEvaluation(model, summary), ...written, ...said].join("\n\n"),
      };
    }),
};

async function writeEvaluationReport(path: string, report: Omit<EvaluationReport, "run">): Promise<void> {
  const [{ evaluationReport }, { thisRun, writeReport }] = await Promise.all([
    import("../../report/evaluation.ts"),
    import("../report-file.ts"),
  ]);
  await writeReport(path, await evaluationReport({ ...report, run: thisRun() }));
}
