// hirec calibrate

import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { createInterface } from "node:readline/promises";
import type { CommandModule } from "yargs";
import type { RunDevice } from "../../../runtime/node/open-layers.ts";
import type { SpecEdit } from "../../calibrate/edit.ts";
import type { Calibration, Setting } from "../../calibrate/result.ts";
import type { CheckedModel } from "../../model.ts";
import type { GridArguments } from "../calibrate/options.ts";
import { showProgress } from "../progress.ts";
import { EXIT, formatDiagnostic } from "../report.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments, GridArguments {
  readonly spec: string;
  readonly weights: readonly string[];
  readonly activations: readonly string[];
  readonly target: string;
  readonly layer: readonly string[] | undefined;
  readonly seed: number;
  readonly tokens: number;
  readonly time: RunDevice | undefined;
  readonly write: boolean;
  readonly "dry-run": boolean;
  readonly fresh: boolean;
  readonly out: string | undefined;
  readonly report: string | undefined;
}

export const calibrateCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "calibrate <spec>",
  describe: "Measure settings on recorded inputs, and propose the cheapest that reaches a target",
  builder: (yargs) =>
    yargs
      .positional("spec", { describe: "A spec", type: "string", demandOption: true })
      .option("weights", {
        describe: "safetensors files (F32, F16, BF16) that hold the tensors the spec names",
        type: "string",
        array: true,
        demandOption: true,
      })
      .option("activations", {
        describe: "safetensors files with recorded inputs of layers, as <layer>.input F32 [tokens, inputs]",
        type: "string",
        array: true,
        demandOption: true,
      })
      .option("target", {
        describe:
          "recall=SHARE of the exact k best, agreement=SHARE of tokens whose exact best is found, or certified=SHARE of tokens that are proven",
        type: "string",
        default: "recall=0.99",
      })
      .option("layer", { describe: "Only these layers; default: all that are recorded", type: "string", array: true })
      .option("seed", { describe: "Decides which tokens are held out", type: "number", default: 1 })
      .option("tokens", { describe: "Tokens to take of a recording, at most", type: "number", default: 1024 })
      .option("bits", { describe: "Bits to try of quantized()", type: "number", array: true })
      .option("group", { describe: "Groups to try of quantized(): 32, 64, 128, row", type: "string", array: true })
      .option("rank", { describe: "Ranks to try of lowRank(); 0 for none", type: "number", array: true })
      .option("rank-bits", { describe: "Bits to try of lowRank()", type: "number", array: true })
      .option("basis", { describe: "Bases to try of lowRank(): weights, activations", type: "string", array: true })
      .option("candidates", { describe: "Numbers of candidates to try", type: "number", array: true })
      .option("select", { describe: "Recalls to try of twoStage(); 1 is exact()", type: "number", array: true })
      .option("slack", {
        describe: "Slacks to try of layers over shards: how many times its fair share a shard selects",
        type: "number",
        array: true,
      })
      .option("time", {
        describe: "Also time the settings that come into question on a device",
        choices: ["auto", "cuda", "webgpu", "software"] as const,
      })
      .option("write", { describe: "Write the proposed values into the spec", type: "boolean", default: false })
      .option("dry-run", { describe: "Write nothing into the spec, and do not ask", type: "boolean", default: false })
      .option("fresh", { describe: "Measure again what an earlier run has measured", type: "boolean", default: false })
      .option("out", { describe: "Write everything that was measured to this JSON file", type: "string" })
      .option("report", { describe: "Write what was found, with plots, to this HTML file", type: "string" })
      .example(
        "$0 calibrate tiny-lm.hire.ts --weights model.safetensors --activations recorded.safetensors",
        "shows the proposed change and asks",
      ),
  handler: (args) => runCommand("calibrate", args.json, () => calibrateSpec(args)),
};

async function calibrateSpec(args: Arguments) {
  const [{ parseGrid, parseTarget }, { calibrate }, { load }, { check }, edit, { requestProduct }] = await Promise.all([
    import("../calibrate/options.ts"),
    import("../../calibrate/calibrate.ts"),
    import("../../load.ts"),
    import("../../check.ts"),
    import("../../calibrate/edit.ts"),
    import("../../../runtime/node/onnx-product.ts"),
  ]);
  const [target, grid] = [parseTarget(args.target), parseGrid(args)];
  if (args.report !== undefined) {
    const { refuseReport } = await import("../report-file.ts");
    await refuseReport(args.report, [args.spec, ...args.weights, ...args.activations], args.out);
  }
  const spec = await load(args.spec);
  const model = check(spec);
  const progress = showProgress(`calibrating ${model.name}`, args.json);
  const stop = onInterrupt(args.json);
  const found = await calibrate(model, {
    ...{ weights: args.weights, activations: args.activations, target, grid },
    ...{ seed: args.seed, tokens: args.tokens, fresh: args.fresh, product: await requestProduct() },
    ...(args.layer && { layers: args.layer }),
    written: edit.writtenTogether(spec),
    onProgress: progress.update,
  }).finally(() => {
    progress.stop();
    stop();
  });
  const result = args.time === undefined ? found : await timed(model, found, args, args.time);
  if (args.out !== undefined) await writeResult(args.out, result);
  const changes = await edit.editSpec(spec, model, await changesOf(result), (path) => readFileSync(path, "utf8"));
  const problems = [...result.problems, ...changes.problems];
  const shown = await diffOf(changes);
  if (args.report !== undefined) await writeCalibrationReport(args.report, model, result, shown);
  const text = args.json ? "" : await textOf(result, shown);
  // The question comes after what it is about.
  const isAsked =
    shown !== "" && !args.json && !args.write && !args["dry-run"] && process.stdin.isTTY && process.stdout.isTTY;
  if (isAsked) process.stdout.write(`${text}\n\n`);
  const isWritten = shown !== "" && (args.write || (isAsked && (await confirm())));
  if (isWritten) await writeTexts(changes);
  const done = shown === "" ? "" : isWritten ? "written" : "not written; --write does";
  return {
    result: { ...result, ok: problems.length === 0, problems, diff: shown, written: isWritten },
    text: [
      ...(isAsked ? [] : [text]),
      ...(args.report === undefined ? [] : [`report: ${args.report}`]),
      ...(done === "" ? [] : [done]),
      ...(isWritten
        ? [
            `next: hirec pack ${args.spec} --weights ${args.weights.join(" ")} --activations ${args.activations.join(" ")} --out FILE`,
          ]
        : []),
      ...problems.map((problem) => formatDiagnostic(problem)),
    ].join("\n\n"),
    exitCode: problems.length === 0 ? EXIT.ok : EXIT.problem,
  };
}

async function timed(
  model: CheckedModel,
  found: Calibration,
  args: Arguments,
  device: RunDevice,
): Promise<Calibration> {
  const [{ timeCalibration }, { TARGETS }] = await Promise.all([
    import("../../calibrate/time.ts"),
    import("../module.ts"),
  ]);
  const { weights, activations } = args;
  return timeCalibration(model, found, { device, targets: TARGETS[device], weights, activations });
}

async function changesOf({ layers }: Calibration): Promise<Map<string, Partial<Setting>>> {
  const { proposedChange } = await import("../../calibrate/proposed-change.ts");
  const changes = layers.map((each) => [each.layer, proposedChange(each)] as const);
  return new Map(changes.filter(([, change]) => Object.keys(change).length > 0));
}

async function textOf(result: Calibration, diff: string): Promise<string> {
  const { formatCalibration } = await import("../calibrate/text.ts");
  return [formatCalibration(result), ...(diff === "" ? [] : [diff.trimEnd()])].join("\n\n");
}

/** All changes as one unified diff; empty when there are none. */
async function diffOf({ texts }: SpecEdit): Promise<string> {
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import("diff");
  const parts = [...texts].map(([path, { before, after }]) => {
    const name = relative(process.cwd(), path);
    return createTwoFilesPatch(name, name, before, after, "", "", { headerOptions: FILE_HEADERS_ONLY });
  });
  return parts.join("");
}

async function writeTexts({ texts }: SpecEdit): Promise<void> {
  const { writeWhole } = await import("../../../runtime/node/write-whole.ts");
  for (const [path, { after }] of texts) await writeWhole(path, "HIRE-CAL-006", (handle) => handle.writeFile(after));
}

async function writeCalibrationReport(path: string, model: CheckedModel, result: Calibration, diff: string) {
  const [{ calibrationReport }, { thisRun, writeReport }, { proposedPlan }] = await Promise.all([
    import("../../report/calibration.ts"),
    import("../report-file.ts"),
    import("../../calibrate/proposed-plan.ts"),
  ]);
  await writeReport(path, await calibrationReport({ result, plan: proposedPlan(model, result), diff, run: thisRun() }));
}

async function writeResult(path: string, result: Calibration): Promise<void> {
  const { writeWhole } = await import("../../../runtime/node/write-whole.ts");
  await writeWhole(path, "HIRE-CAL-006", (handle) => handle.writeFile(`${JSON.stringify(result, null, 1)}\n`));
}

async function confirm(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Write these values into the spec? [y/N] ");
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** What was measured is on disk already; the same command goes on from there. */
function onInterrupt(quiet: boolean): () => void {
  const stop = () => {
    if (!quiet) process.stderr.write("\ninterrupted; the same command goes on from here\n");
    process.exit(130);
  };
  process.once("SIGINT", stop);
  return () => process.off("SIGINT", stop);
}
