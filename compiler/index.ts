// The compiler: load -> check -> lower -> fuse -> schedule -> render -> verify -> write.

import type { Model } from "../dsl/index.ts";
import { HireError } from "../runtime/errors.ts";
import { check } from "./check.ts";
import { type CompiledModel, emit } from "./emit.ts";
import { load } from "./load.ts";
import { PROFILES, type Profile } from "./profiles.ts";

export { type Diagnostic, HireError, type SourceSpan } from "../runtime/errors.ts";
export type { CompiledModel } from "./emit.ts";
export { expectedRecall } from "./recall.ts";
export { compareFolder, type FolderDifference, write } from "./write.ts";

export interface CompileOptions {
  /** Names of the device profiles to compile for. Default: all. */
  readonly profiles?: readonly string[];
}

export interface CompiledSpec extends CompiledModel {
  /** Absolute path of the spec. */
  readonly spec: string;
  /** Absolute paths of the spec and of every file of the user's that it imports. */
  readonly inputs: readonly string[];
}

/**
 * Compiles a spec in memory; nothing is written.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN, every problem of a pass at once.
 */
export async function compile(specPath: string, options: CompileOptions = {}): Promise<CompiledSpec> {
  const profiles = pickProfiles(options.profiles);
  const spec = await load(specPath);
  return { spec: spec.path, inputs: spec.files, ...emit(check(spec), profiles) };
}

/**
 * Compiles a model that a program built itself, with `defineModel`, instead of a spec file. Problems carry no useful
 * place then.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN.
 */
export function compileModel(model: Model, options: CompileOptions = {}): CompiledModel {
  return emit(check({ path: `${model.options.name}.hire.ts`, model, sites: [] }), pickProfiles(options.profiles));
}

/** @throws HireError HIRE-PLAN-004 for a profile that does not exist. */
function pickProfiles(names: readonly string[] | undefined): readonly Profile[] {
  if (names === undefined) return PROFILES;
  for (const name of names) {
    if (PROFILES.some((profile) => profile.name === name)) continue;
    throw new HireError({
      code: "HIRE-PLAN-004",
      message: `There is no device profile "${name}"`,
      fix: `Use one of: ${PROFILES.map((profile) => profile.name).join(", ")}`,
    });
  }
  return PROFILES.filter(({ name }) => names.includes(name));
}
