// The tuning file, NAME.tuning.json beside NAME.hire.ts: what `hirec tune` measured and chose, which users commit and every
// compile reads.

import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HireError, reasonOf, type SourceSpan } from "../../runtime/errors.ts";
import type { LayerPlan, TuningPlan } from "../../runtime/plan.ts";
import { textHash } from "../text-hash.ts";
import { type JsonPlaces, jsonPlaces, jsonProblem } from "./json-places.ts";

/** Raised whenever a file written before could be misread. */
export const TUNING_FORMAT = 1;

export interface TuningFile {
  readonly format: number;
  /** By profile and layer. */
  readonly profiles: Readonly<Record<string, Readonly<Record<string, TunedLayer>>>>;
}

export interface TunedLayer {
  /** `planHash` of the layer when it was measured. */
  readonly plan: string;
  /** Those that differ from the default. */
  readonly knobs: TuningPlan;
  /** Why these. */
  readonly reason: string;
  readonly device: string;
  /** Year, month and day. */
  readonly date: string;
  /** In the order in which they were measured. */
  readonly measured: readonly Comparison[];
}

/** Two schedules, measured in turns. */
export interface Comparison {
  readonly knobs: TuningPlan;
  readonly against: TuningPlan;
  readonly verdict: "faster" | "not faster" | "other results" | "refused";
  /** Of a launch of the layer; absent where nothing was measured. */
  readonly time?: Timing;
  readonly timeAgainst?: Timing;
  /** What a device said that refused. */
  readonly why?: string;
}

/** Microseconds. */
export interface Timing {
  readonly median: number;
  /** Between the first and the third quartile. */
  readonly spread: number;
}

/** A tuning file that was read, in which only what a compile needs has been checked. */
export interface ReadTuning {
  readonly path: string;
  readonly file: TuningFile;
  readonly places: JsonPlaces;
}

/** Where the tuning of a spec lies. */
export function tuningPath(spec: string): string {
  const name = basename(spec).replace(/\.[cm]?[jt]sx?$/, "");
  return join(dirname(spec), `${name.replace(/\.hire$/, "")}.tuning.json`);
}

/** Everything that decides what a layer's kernels do: what was measured for another layer says nothing of this one. */
export function planHash(layer: LayerPlan): string {
  return textHash(JSON.stringify(layer));
}

/**
 * @returns nothing where there is no such file.
 * @throws HireError HIRE-PLAN-010 when the file cannot be read or is not a tuning file of this format.
 */
export async function readTuning(path: string): Promise<ReadTuning | undefined> {
  const text = await readFile(path, "utf8").catch((thrown) => {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw broken(path, reasonOf(thrown));
  });
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    const { what, span } = jsonProblem(path, text);
    throw broken(path, what || reasonOf(thrown), span);
  }
  const places = jsonPlaces(path, text);
  const problem = findProblem(json);
  if (problem) throw broken(path, problem.what, places(...problem.at));
  return { path, file: json as TuningFile, places };
}

interface Problem {
  readonly what: string;
  readonly at: readonly string[];
}

function findProblem(json: unknown): Problem | undefined {
  if (!isRecord(json)) return { what: "it holds no object", at: [] };
  const { format, profiles } = json;
  if (format !== TUNING_FORMAT) {
    const found = typeof format === "number" ? `it has format ${format}` : "it has no format number";
    return { what: `${found}, but this hirec reads format ${TUNING_FORMAT}`, at: ["format"] };
  }
  if (!isRecord(profiles)) return { what: "`profiles` is no object", at: ["profiles"] };
  for (const [profile, layers] of Object.entries(profiles)) {
    const at = ["profiles", profile];
    if (!isRecord(layers)) return { what: `\`${profile}\` is no object of layers`, at };
    for (const [layer, tuned] of Object.entries(layers)) {
      const problem = problemOfLayer(layer, tuned);
      if (problem) return { what: problem.what, at: [...at, layer, ...problem.at] };
    }
  }
  return undefined;
}

function problemOfLayer(layer: string, tuned: unknown): Problem | undefined {
  if (!isRecord(tuned)) return { what: `\`${layer}\` is no object`, at: [] };
  if (typeof tuned.plan !== "string") return { what: "`plan` is no hash", at: ["plan"] };
  if (!isRecord(tuned.knobs)) return { what: "`knobs` is no object", at: ["knobs"] };
  for (const [name, value] of Object.entries(tuned.knobs)) {
    if (typeof value === "number" || typeof value === "boolean") continue;
    return { what: `\`${name}\` is neither a number nor true or false`, at: ["knobs", name] };
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function broken(path: string, why: string, span?: SourceSpan): HireError {
  return new HireError({
    code: "HIRE-PLAN-010",
    message: `The tuning file ${basename(path)} cannot be read: ${why}`,
    fix: "Mend it, take it from version control, or remove it and measure again with hirec tune",
    ...(span && { span }),
  });
}
