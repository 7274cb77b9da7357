// Calibration of a model: layer by layer, every setting of a grid on recorded inputs, and of those that reach the target the
// cheapest.

import { type Diagnostic, HireError } from "../../runtime/errors.ts";
import type { Product } from "../../runtime/measure/product.ts";
import { requireLayer } from "../../runtime/model.ts";
import { recordedLayers } from "../../runtime/node/activations-file.ts";
import { readLayerWeights } from "../../runtime/node/layer-weights.ts";
import { findWeights } from "../../runtime/node/pack-file.ts";
import { openSafetensors, type SafetensorsFile } from "../../runtime/node/safetensors-file.ts";
import type { Plan } from "../../runtime/plan.ts";
import { emit } from "../emit.ts";
import type { CheckedLayer, CheckedModel } from "../model.ts";
import { pickProfiles } from "../pick-profiles.ts";
import { selectedBy } from "../spread.ts";
import { tile } from "../tile.ts";
import { measured } from "./bound.ts";
import { bestReachable, choose } from "./choose.ts";
import { savedByCommon } from "./firing.ts";
import { type Grid, gridOf, selectorsOf, withSetting } from "./grid.ts";
import { readTokens } from "./input.ts";
import { calibrateLayer, workOf } from "./layer.ts";
import {
  type Calibration,
  type LayerCalibration,
  RESULT_FORMAT,
  type ShardCalibration,
  type Target,
} from "./result.ts";
import { proposeForShards, type ShardedLayer } from "./shards.ts";
import { hashOf, openState } from "./state.ts";

export interface CalibrateOptions {
  readonly weights: readonly string[];
  readonly activations: readonly string[];
  readonly target: Target;
  /** Only these layers; default: all whose inputs are recorded. */
  readonly layers?: readonly string[];
  readonly seed: number;
  /** Tokens that are taken of a recording, at most; half of them are held out. */
  readonly tokens: number;
  readonly grid?: Partial<Grid>;
  /** Forgets what an interrupted run has measured. */
  readonly fresh?: boolean;
  readonly product: Product;
  /** Layers that one call of the spec writes get one setting; default: each its own. */
  readonly written?: readonly (readonly string[])[];
  /** Called with rows done out of all rows of all estimators. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Raised whenever the same input is measured differently. */
const MEASURE_VERSION = 3;

/** @throws HireError of the families HIRE-PACK and HIRE-CAL, -001 to -003 and -007. */
export async function calibrate(model: CheckedModel, options: CalibrateOptions): Promise<Calibration> {
  const started = performance.now();
  const files: SafetensorsFile[] = [];
  const open = async (paths: readonly string[]) => {
    const opened: SafetensorsFile[] = [];
    for (const path of paths) {
      const file = await openSafetensors(path);
      files.push(file);
      opened.push(file);
    }
    return opened;
  };
  try {
    const recorded = await open(options.activations);
    const layers = layersOf(model, recorded, options.layers);
    if (options.grid?.slack && !layers.some(({ shards }) => shards)) {
      throw new HireError({
        code: "HIRE-CAL-007",
        message: "--slack has no meaning here: none of the layers that are calibrated has shards",
        fix: "Remove --slack, or name a layer over shards with --layer",
      });
    }
    const plans = Object.fromEntries(layers.map((layer) => [layer.name, tile(layer)]));
    const weights = findWeights({ layers: plans }, await open(options.weights));
    // What is wrong with any layer is said before the first is measured.
    for (const { name } of layers) await tokensOf(name);
    const grids = layers.map((layer) => gridOf(layer, options.grid));
    const total = layers.reduce((sum, layer, i) => sum + workOf(layer, grids[i]!), 0);
    let done = 0;
    const onRows = (rows: number) => {
      done += rows;
      options.onProgress?.(done, total);
    };
    options.onProgress?.(0, total);
    const found: LayerCalibration[] = [];
    for (const [i, layer] of layers.entries()) {
      const tokens = await tokensOf(layer.name);
      const { found: tensors } = weights.find(({ name }) => name === layer.name)!;
      const { weights: own, bytes } = await readLayerWeights(plans[layer.name]!, tensors);
      const grid = grids[i]!;
      const { product, target } = options;
      const decisive = {
        ...layer,
        ...{ estimator: "", candidates: grid.candidates, select: selectorsOf(grid, layer) },
      };
      const values = new Uint8Array(tokens.x.buffer);
      const key = hashOf(MEASURE_VERSION, product.name, decisive, tokens.counts, values, ...bytes);
      const known = await openState(key, options.fresh ?? false);
      found.push(await calibrateLayer({ layer, weights: own, tokens, grid, target, product, known, onRows }));
    }
    const { proposed, problems } = propose(model, layers, found, options);
    return {
      ...{ format: RESULT_FORMAT, model: model.name, spec: model.spec, target: options.target, seed: options.seed },
      ...{ engine: options.product.name, layers: proposed, problems },
      seconds: (performance.now() - started) / 1000,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };

    function tokensOf(name: string) {
      return readTokens(name, plans[name]!, recorded, { ...options, most: options.tokens });
    }
  } finally {
    for (const file of files) await file.close();
  }
}

function layersOf(
  model: CheckedModel,
  recorded: readonly SafetensorsFile[],
  named?: readonly string[],
): CheckedLayer[] {
  const all = model.layers.map(({ name }) => name);
  const known = { model: model.name, layers: Object.fromEntries(all.map((name) => [name, {}])) };
  for (const name of named ?? []) requireLayer(known as unknown as Plan, name);
  const wanted = recordedLayers(named ?? all, recorded, named !== undefined);
  return model.layers.filter(({ name }) => wanted.includes(name));
}

/** Chooses for layers that are written together, and says what cannot be reached. */
function propose(
  model: CheckedModel,
  layers: readonly CheckedLayer[],
  found: readonly LayerCalibration[],
  { target, written }: CalibrateOptions,
): { readonly proposed: readonly LayerCalibration[]; readonly problems: readonly Diagnostic[] } {
  const chosen = new Map<string, number>();
  const overShards = new Map<string, NonNullable<ShardCalibration["proposal"]>>();
  const problems: Diagnostic[] = [];
  const groups = written ?? found.map(({ layer }) => [layer]);
  for (const group of groups) {
    const members = found.filter(({ layer }) => group.includes(layer));
    if (members.length === 0) continue;
    const places = choose(members, target, (i, settings) => compiles(model, members[i]!.layer, settings));
    if (places) members.forEach(({ layer }, i) => void chosen.set(layer, places[i]!));
    else problems.push(unreachable(members, target));
    const sharded = members.flatMap((member): ShardedLayer[] => {
      const layer = layers[found.indexOf(member)]!;
      const setting = member.settings[chosen.get(member.layer) ?? -1];
      return member.shards ? [{ layer: setting ? withSetting(layer, setting) : layer, measured: member.shards }] : [];
    });
    const proposals = sharded.length > 0 ? proposeForShards(sharded) : [];
    sharded.forEach(({ layer }, i) => void overShards.set(layer.name, proposals[i]!));
    if (proposals.some(({ keep }) => keep === undefined)) problems.push(tooLittleSlack(sharded));
  }
  const proposed = found.map((each, i): LayerCalibration => {
    const proposal = chosen.get(each.layer);
    const best = bestReachable(each.settings);
    const layer = layers[i]!;
    const shown = each.settings[proposal ?? best ?? -1];
    const firing = each.firing && {
      ...each.firing,
      potentialBytes: layer.kind === "ffn" && shown ? savedByCommon(layer, shown, each.firing.always) : 0,
    };
    return {
      ...each,
      ...(proposal !== undefined && { proposal }),
      ...(best !== undefined && { best }),
      ...(firing && { firing }),
      ...(each.shards && { shards: { ...each.shards, proposal: overShards.get(each.layer)! } }),
    };
  });
  return { proposed, problems };
}

/** Whether a layer fits all device profiles of WebGPU in a setting. */
function compiles(model: CheckedModel, name: string, setting: Parameters<typeof withSetting>[1]): boolean {
  const layers = model.layers.filter((layer) => layer.name === name).map((layer) => withSetting(layer, setting));
  try {
    emit({ ...model, layers }, pickProfiles({}));
    return true;
  } catch (thrown) {
    if (thrown instanceof HireError) return false;
    throw thrown;
  }
}

function tooLittleSlack(layers: readonly ShardedLayer[]): Diagnostic {
  const each = layers.map(({ layer, measured: { slacks, target } }) => {
    const best = slacks.filter(({ selected }) => selected === selectedBy(layer).selected).at(-1);
    const of = best
      ? `slack ${best.slack} has ${best.heldOut.recall.mean.toFixed(4)}, surely ${best.bound.toFixed(4)}`
      : "none was tried";
    return `layer "${layer.name}" wants ${target.recall}, ${of}`;
  });
  return {
    code: "HIRE-CAL-004",
    message: `No slack reaches the recall over shards that is asked for: ${each.join("; ")}`,
    fix: 'Try more slack (--slack), record more tokens, spread rows with layout "interleaved", or ask for less in shards: { slack: { recall } }',
  };
}

function unreachable(members: readonly LayerCalibration[], target: Target): Diagnostic {
  const names = members.map(({ layer }) => `"${layer}"`).join(", ");
  const each = members.map(({ layer, settings }) => {
    const best = bestReachable(settings);
    if (best === undefined) return `layer "${layer}" has no setting that reads fewer bytes than the dense path`;
    const { heldOut, bound, reads } = settings[best]!;
    const share = (value: number) => value.toFixed(4);
    return `the best of layer "${layer}" has ${share(measured(target, heldOut))}, surely ${share(bound)}, and reads ${(100 / reads.ratio).toFixed(0)} % of the dense bytes`;
  });
  const together = members.length > 1 ? ", which one call of the spec writes and which get one setting" : "";
  return {
    code: "HIRE-CAL-004",
    message: `No setting of layer ${names}${together} reaches ${target.measure} ${target.value}: ${each.join("; ")}`,
    fix: "Lower the target, record more tokens, widen the grid (more --candidates, more --bits), or use dense()",
  };
}
