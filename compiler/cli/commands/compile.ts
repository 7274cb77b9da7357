// hirec compile

import { join } from "node:path";
import type { CommandModule } from "yargs";
import { type Diagnostic, HireError } from "../../../runtime/errors.ts";
import type { FatbinSummary } from "../../fatbin.ts";
import type { CompiledModel, CompiledSpec, OutputTarget } from "../../index.ts";
import type { FolderDifference } from "../../write.ts";
import { type CompiledFolder, sameName, summarizeWrite } from "../compiled-folders.ts";
import { showProgress } from "../progress.ts";
import { forEachSpec, type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly spec: readonly string[];
  readonly out: string;
  readonly target: readonly OutputTarget[] | undefined;
  readonly profile: readonly string[] | undefined;
  readonly check?: boolean | undefined;
  readonly watch?: boolean | undefined;
  readonly fatbin?: boolean | undefined;
}

export const compileCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "compile <spec..>",
  describe: "Compile specs to kernels and a plan",
  builder: (yargs) =>
    yargs
      .positional("spec", { describe: "Spec files (*.hire.ts)", type: "string", array: true, demandOption: true })
      .option("out", { describe: "Folder that gets one folder per model", type: "string", default: "generated" })
      .option("target", {
        describe: "What to emit; default: wgsl, or what --profile asks for",
        choices: ["wgsl", "cuda", "torch"] as const satisfies readonly OutputTarget[],
        array: true,
        coerce: splitAtCommas<OutputTarget>,
      })
      .option("profile", {
        describe: "Device profiles to compile for; default: all of the targets",
        type: "string",
        array: true,
        coerce: splitAtCommas<string>,
      })
      // No defaults, or each would conflict with the other.
      .option("check", { describe: "Write nothing; exit 1 if the output is not up to date", type: "boolean" })
      .option("watch", { describe: "Go on, and compile again what changes", type: "boolean" })
      .option("fatbin", {
        describe: "Compile the CUDA sources with nvcc too, for machines without a compiler",
        type: "boolean",
      })
      .conflicts("watch", "check")
      .conflicts("fatbin", ["check", "watch"])
      .example("$0 compile tiny-lm.hire.ts", "writes generated/tiny-lm/")
      .example("$0 compile tiny-lm.hire.ts --target wgsl,cuda", "adds sources for CUDA")
      .example("$0 compile tiny-lm.hire.ts --target cuda --fatbin", "and images of them, for cards from sm_80 on")
      .example("$0 compile tiny-lm.hire.ts --target torch", "sources for CUDA, and a package for PyTorch")
      .example("$0 compile tiny-lm.hire.ts --watch", "and again with every save, until Ctrl+C")
      .example("$0 compile specs/*.hire.ts --check", "for CI: are the committed kernels up to date?"),
  handler: (args) =>
    runCommand("compile", args.json, async () => {
      const compiling = {
        ...(args.target && { targets: args.target }),
        ...(args.profile && { profiles: args.profile }),
      };
      if (args.watch) {
        const { watchCompile } = await import("../watch/watch-compile.ts");
        await watchCompile(args.spec, { out: args.out, json: args.json, ...compiling });
        return {};
      }
      const { compile, compareFolder, write } = await import("../../index.ts");
      const started = performance.now();
      const compiled = await forEachSpec(args.spec, (spec) => compile(spec, compiling));
      refuseSameName(compiled);
      const models: (CompiledFolder & { readonly fatbin?: FatbinSummary })[] = [];
      for (const { plan, files } of compiled) {
        const folder = join(args.out, plan.model);
        const difference = args.check ? await compareFolder(folder, files) : await write(folder, files);
        const fatbin = args.fatbin ? await makeImages(folder, { plan, files }, args.json) : undefined;
        models.push({ model: plan.model, folder, difference, ...(fatbin && { fatbin }) });
      }
      const warnings = compiled.flatMap((each) => each.warnings);
      if (args.check) refuseDifferences(models, args.spec, warnings);
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      return {
        result: {
          models: models.map(({ model, folder, difference, fatbin }) => ({
            ...{ model, folder, ...difference },
            ...(fatbin && { fatbin }),
          })),
        },
        warnings,
        text: models
          .flatMap((each) => [
            summarize(each, args.check === true),
            ...(each.fatbin ? [summarizeImages(each.fatbin)] : []),
          ])
          .join("\n")
          .concat(` (${seconds} s)`),
      };
    }),
};

async function makeImages(folder: string, model: CompiledModel, quiet: boolean): Promise<FatbinSummary> {
  const { compileFatbins } = await import("../../fatbin.ts");
  const progress = showProgress(`compiling kernels of ${model.plan.model}`, quiet);
  return compileFatbins(folder, model, progress.update).finally(progress.stop);
}

function summarizeImages({ compiler, compiled, unchanged, removed }: FatbinSummary): string {
  const parts = [`${compiled.length} compiled`, `${unchanged.length} unchanged`];
  if (removed.length > 0) parts.push(`${removed.length} removed`);
  return `images by ${compiler}: ${parts.join(", ")}`;
}

/** `--option a,b` is `--option a --option b`. */
function splitAtCommas<Name extends string>(given: readonly Name[] | undefined): Name[] | undefined {
  return given?.flatMap((each) => each.split(",") as Name[]);
}

function summarize(folder: CompiledFolder, check: boolean): string {
  if (!check) return summarizeWrite(folder);
  return `${folder.model}: ${folder.folder} is up to date, ${folder.difference.unchanged.length} files`;
}

/** @throws HireError HIRE-SPEC-019 when two specs would be written to one folder. */
function refuseSameName(compiled: readonly CompiledSpec[]): void {
  const problems: Diagnostic[] = [];
  const first = new Map<string, string>();
  for (const { plan, spec } of compiled) {
    const other = first.get(plan.model);
    if (other === undefined) first.set(plan.model, spec);
    else problems.push(sameName(spec, other, plan.model));
  }
  if (problems.length > 0) throw new HireError(problems);
}

/** @throws HireError HIRE-PLAN-007 naming every file that differs, and the warnings behind them. */
function refuseDifferences(
  models: readonly { readonly folder: string; readonly difference: FolderDifference }[],
  specs: readonly string[],
  warnings: readonly Diagnostic[],
): void {
  const problems = models.flatMap(({ folder, difference }) =>
    (["stale", "missing", "orphaned"] as const).flatMap((kind) =>
      difference[kind].map(
        (file): Diagnostic => ({
          code: "HIRE-PLAN-007",
          message: `${join(folder, file)} is ${kind}`,
          fix: `Run: hirec compile ${specs.join(" ")}`,
        }),
      ),
    ),
  );
  if (problems.length > 0) throw new HireError([...problems, ...warnings]);
}
