// What every backend's loader does with a compiled model before it touches a device.

import { HireError } from "./errors.ts";
import type { LayerPlan, Plan, Program, Target } from "./plan.ts";

/** The parts of a compiled folder, however the caller comes by them. */
export interface CompiledParts {
  /** What plan.json holds. */
  readonly plan: unknown;
  /**
   * The kernels' sources: a function from a path below the compiled folder, asked only for the kernels that run; or all
   * of them by path, of which other folders may stand in front.
   */
  readonly sources: ((file: string) => string | Promise<string>) | Readonly<Record<string, string>>;
}

/** What `hirec compile` makes: the plan, and the source of each kernel by the path that the plan gives it. */
export interface CompiledSources {
  readonly plan: Plan;
  readonly sources: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  /** Runs this profile instead of the best that the device supports. */
  readonly profile?: string;
  /** Loads only these layers. */
  readonly layers?: readonly string[];
}

/** Those of the files that there are; `sourceOf` says which are missing. */
export async function readSources(
  sources: CompiledParts["sources"],
  files: readonly string[],
): Promise<Record<string, string>> {
  const read = (file: string) => {
    if (typeof sources === "function") return sources(file);
    const key = Object.hasOwn(sources, file) ? file : Object.keys(sources).find((each) => each.endsWith(`/${file}`));
    return key === undefined ? undefined : sources[key];
  };
  const texts = await Promise.all(files.map(async (file) => [file, await read(file)] as const));
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** @throws HireError HIRE-PLAN-008 when the source is missing. */
export function sourceOf({ plan, sources }: CompiledSources, file: string): string {
  const text = sources[file];
  if (text !== undefined) return text;
  throw new HireError({
    code: "HIRE-PLAN-008",
    message: `The compiled model "${plan.model}" lacks ${file}`,
    fix: `Compile again: hirec compile ${plan.spec}`,
  });
}

/** @throws HireError HIRE-RUN-008 when the plan has no layer of that name. */
export function requireLayer(plan: Plan, name: string): LayerPlan {
  const layer = Object.hasOwn(plan.layers, name) ? plan.layers[name] : undefined;
  if (layer) return layer;
  throw noSuchLayer(plan, `layer "${name}"`, Object.keys(plan.layers));
}

/** @throws HireError HIRE-RUN-020 when the layer is spread over shards, and HIRE-RUN-008 when there is none. */
export function requireWhole(plan: Plan, name: string): LayerPlan {
  const layer = requireLayer(plan, name);
  if (!layer.sharding) return layer;
  throw new HireError({
    code: "HIRE-RUN-020",
    message: `Layer "${name}" of "${plan.model}" is spread over ${layer.sharding.count} shards`,
    fix: "Load each shard with loadShard, or run it with hirec run; or remove `shards` from the spec",
  });
}

interface AnyLayer {
  readonly kind: LayerPlan["kind"];
  destroy(): void;
}

/**
 * Loads layers one after another; when one fails, those before are freed.
 * @param load makes the layer of that name.
 */
export async function loadLayers<Layer extends AnyLayer>(
  plan: Plan,
  names: readonly string[] | undefined,
  load: (name: string, layer: LayerPlan) => Promise<Layer>,
) {
  const layers: Record<string, Layer> = {};
  const destroy = () => {
    for (const layer of Object.values(layers)) layer.destroy();
  };
  try {
    for (const name of names ?? Object.keys(plan.layers)) layers[name] = await load(name, requireWhole(plan, name));
  } catch (thrown) {
    destroy();
    throw thrown;
  }
  const ofKind = <Kind extends Layer["kind"]>(kind: Kind, name: string) => {
    const layer = Object.hasOwn(layers, name) ? layers[name] : undefined;
    if (layer?.kind === kind) return layer as Extract<Layer, { kind: Kind }>;
    const offered = Object.keys(layers).filter((each) => layers[each]!.kind === kind);
    throw noSuchLayer(plan, `${kind} layer "${name}"`, offered);
  };
  return {
    layers: layers as Readonly<Record<string, Layer>>,
    softmax: (name: string) => ofKind("softmax", name),
    ffn: (name: string) => ofKind("ffn", name),
    destroy,
  };
}

function noSuchLayer({ model }: Plan, what: string, offered: readonly string[]): HireError {
  return new HireError({
    code: "HIRE-RUN-008",
    message: `"${model}" has no ${what}`,
    fix: offered.length > 0 ? `Use one of: ${offered.join(", ")}` : "Load the layer first, or take another model",
  });
}

/** What a target is called in messages, and what to do where none of its programs runs. */
const TARGETS = {
  wgsl: {
    name: "WebGPU",
    fix: "Compile for a profile that the device supports, or request the device with the adapter's limits and features",
  },
  cuda: {
    name: "CUDA",
    fix: "Compile for a profile that the card supports (--target cuda, without --profile); cards before sm_80 run on --device webgpu",
  },
} as const;

/**
 * The first program of a target that lacks nothing on the device.
 * @param missingOn what the device lacks for a program, in words.
 * @param profile takes only the program of this name.
 * @throws HireError HIRE-RUN-006 when there is none, naming what the device lacks.
 */
export function pickProgramOf<Wanted extends Target>(
  plan: Plan,
  target: Wanted,
  missingOn: (program: Extract<Program, { target: Wanted }>) => readonly string[],
  profile?: string,
): Extract<Program, { target: Wanted }> {
  const lacking: string[] = [];
  const programs = plan.programs.filter((each): each is Extract<Program, { target: Wanted }> => each.target === target);
  for (const program of programs) {
    if (profile !== undefined && program.profile !== profile) continue;
    const missing = missingOn(program);
    if (missing.length === 0) return program;
    lacking.push(`${program.profile} needs ${missing.join(" and ")}`);
  }
  const offered = (programs.length > 0 ? programs : plan.programs).map((program) => program.profile).join(", ");
  const wanted = programs.length === 0 ? TARGETS[target].name : `profile "${profile}"`;
  throw new HireError({
    code: "HIRE-RUN-006",
    message:
      lacking.length > 0
        ? `The device cannot run "${plan.model}": ${lacking.join("; ")}`
        : `"${plan.model}" was not compiled for ${wanted}, but for: ${offered}`,
    fix: TARGETS[target].fix,
  });
}
