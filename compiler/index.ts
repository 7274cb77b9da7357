// The compiler: load -> check -> lower -> fuse -> schedule -> render -> verify -> write.

import type { Model } from "../dsl/index.ts";
import { type Diagnostic, HireError } from "../runtime/errors.ts";
import { check } from "./check.ts";
import { type CompiledModel, emit } from "./emit.ts";
import { isModel } from "./load/model-value.ts";
import { typecheck } from "./load/typecheck.ts";
import { load } from "./load.ts";
import type { CheckedModel } from "./model.ts";
import { pickProfiles } from "./pick-profiles.ts";
import type { OutputTarget } from "./profiles.ts";
import { readTuning, tuningPath } from "./tuning/file.ts";
import { fitTuning } from "./tuning/fit.ts";

export { type Diagnostic, HireError, type SourceSpan } from "../runtime/errors.ts";
export type { Target } from "../runtime/plan.ts";
export type * from "./calibrate/result.ts";
export type { CompiledModel } from "./emit.ts";
export type { OutputTarget } from "./profiles.ts";
export { expectedRecall } from "./recall.ts";
export { compareFolder, type FolderDifference, write } from "./write.ts";

export interface CompileOptions {
  /** `torch` brings `cuda` along. Default: the targets of `profiles`, or `wgsl` where those are not given either. */
  readonly targets?: readonly OutputTarget[];
  /** Names of the device profiles to compile for. Default: all of the targets. */
  readonly profiles?: readonly string[];
  /**
   * Called with the absolute path of the spec, of each file of the user's that it imports and of the tuning file, which need
   * not be there, before it is read; also when the compile fails later.
   */
  readonly onInput?: (path: string) => void;
}

export interface CompiledSpec extends CompiledModel {
  /** Absolute path of the spec. */
  readonly spec: string;
  /** Absolute paths of the spec, of every file of the user's that it imports, and of its tuning file where there is one. */
  readonly inputs: readonly string[];
  /** What of the tuning file does not fit, and was left out. */
  readonly warnings: readonly Diagnostic[];
}

/**
 * Compiles a spec in memory, with what `hirec tune` left beside it; nothing is written.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN, every problem of a pass at once.
 */
export async function compile(specPath: string, options: CompileOptions = {}): Promise<CompiledSpec> {
  const profiles = pickProfiles(options);
  const { model, path, files } = await checkSpec(specPath, options.onInput);
  const tuningFile = tuningPath(path);
  options.onInput?.(tuningFile);
  const tuned = await readTuning(tuningFile);
  const { tunings, warnings } = tuned ? fitTuning(tuned, model, profiles) : { tunings: {}, warnings: [] };
  const inputs = tuned ? [...files, tuningFile] : files;
  return { spec: path, inputs, warnings, ...emit(model, profiles, options.targets, tunings) };
}

/** A spec that holds: its model, its absolute path, and the absolute paths of it and what it imports. */
export interface CheckedSpec {
  readonly model: CheckedModel;
  readonly path: string;
  readonly files: readonly string[];
}

/**
 * Runs a spec and checks its meaning, then its types.
 * @throws HireError of the family HIRE-SPEC.
 */
export async function checkSpec(specPath: string, onInput?: (path: string) => void): Promise<CheckedSpec> {
  const spec = await load(specPath, onInput);
  // Meaning before types: where both object, ours says what to do about it.
  const model = check(spec);
  const problems = typecheck(spec.files);
  if (problems.length > 0) throw new HireError(problems);
  return { model, path: spec.path, files: spec.files };
}

/**
 * Compiles a model that a program built itself, with `defineModel`, instead of a spec file. Problems carry no place
 * then.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN.
 */
export function compileModel(model: Model, options: CompileOptions = {}): CompiledModel {
  if (!isModel(model)) {
    throw new HireError({
      code: "HIRE-SPEC-005",
      message: "The model is not made by defineModel",
      fix: "Pass what defineModel(name, layers) returns",
    });
  }
  return emit(check({ model, sites: [] }), pickProfiles(options), options.targets);
}
