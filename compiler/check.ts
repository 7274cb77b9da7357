// Pass 2. What a spec says becomes a checked model, or every problem at once, each at its place.

import type { Built } from "../dsl/index.ts";
import { HireError, withoutRepeats } from "../runtime/errors.ts";
import { checkCertify } from "./check/certify.ts";
import { checkFfn } from "./check/ffn.ts";
import { checkOptions, OPTION_PROPERTIES } from "./check/options.ts";
import { builtKind, isBuilt, Reader, show } from "./check/reader.ts";
import { checkShards } from "./check/shards.ts";
import type { LoadedSpec } from "./load.ts";
import {
  type CheckedEstimator,
  type CheckedLayer,
  type CheckedModel,
  type CheckedSelector,
  type CheckedSoftmax,
  MAX_BATCH,
} from "./model.ts";

/** Row and column numbers are u32 in every kernel; this keeps every product that indexes a weight exact as well. */
export const MAX_EXTENT = 2 ** 24;

/**
 * @param spec without a path when a program built the model; problems then have no place.
 * @throws HireError HIRE-SPEC-006 to -017, all that were found.
 */
export function check(spec: Pick<LoadedSpec, "model" | "sites"> & Partial<LoadedSpec>): CheckedModel {
  const reader = new Reader(spec);
  const { name, layers } = spec.model.options;
  if (typeof name !== "string" || !/^[a-z0-9]+([.-][a-z0-9]+)*$/.test(name) || name.length > 64) {
    reader.report("HIRE-SPEC-006", `${show(name)} cannot name a model`, {
      fix: "Use lower-case letters, digits, single dots and dashes, at most 64; the name becomes a folder",
      span: reader.argument(spec.model, 0),
    });
  }
  const checked = checkLayers(reader, spec.model, layers);
  if (reader.problems.length > 0) throw new HireError(withoutRepeats(reader.problems));
  return { name, spec: spec.path?.split(/[\\/]/).at(-1) ?? `${name}.hire.ts`, layers: checked };
}

function checkLayers(reader: Reader, model: Built<string, unknown>, layers: unknown): CheckedLayer[] {
  const isObject = typeof layers === "object" && layers !== null && !Array.isArray(layers) && builtKind(layers) === "";
  const entries: [string, unknown][] = isObject ? Object.entries(layers) : [];
  // `{ __proto__: layer }` is valid JavaScript that sets the prototype instead of adding a layer.
  if (isObject && reader.isWritten(model, "__proto__") && !Object.hasOwn(layers, "__proto__")) {
    entries.push(["__proto__", Object.getPrototypeOf(layers)]);
  }
  if (entries.length === 0) {
    const isEmpty = isObject || layers === undefined;
    const message = isEmpty ? "The model has no layers" : `Layers must be an object, not ${show(layers)}`;
    reader.report("HIRE-SPEC-017", message, {
      fix: "Pass an object with at least one layer as the second argument of defineModel",
      span: reader.argument(model, 1),
    });
  }
  const names = new Map<string, string>();
  for (const [name] of entries) {
    const other = names.get(name.toLowerCase());
    if (other === undefined) names.set(name.toLowerCase(), name);
    else {
      reader.report("HIRE-SPEC-006", `Layers ${show(other)} and ${show(name)} differ only in case`, {
        fix: "Rename one of them; on many systems their files would be the same",
        span: reader.name(model, name),
      });
    }
  }
  const checked = entries.map(([name, layer]) => checkLayer(reader, model, name, layer));
  checkShardCounts(reader, model, checked);
  return checked;
}

/** A process is a shard of every layer, so all have as many. */
function checkShardCounts(reader: Reader, model: Built<string, unknown>, layers: readonly CheckedLayer[]): void {
  const sharded = layers.filter(({ shards }) => shards !== undefined);
  const [first] = sharded;
  for (const { name, shards } of sharded) {
    if (shards!.count !== first!.shards!.count) {
      reader.report(
        "HIRE-SPEC-028",
        `Layer "${name}" has ${shards!.count} shards, and "${first!.name}" has ${first!.shards!.count}`,
        {
          fix: "Give all sharded layers of a model as many shards: a process is a shard of each",
          span: reader.value(model, name),
        },
      );
    }
    const taken = layers.find((each) => new RegExp(`^${name}_shard\\d+$`, "i").test(each.name));
    if (taken) {
      reader.report("HIRE-SPEC-006", `"${taken.name}" is the name of a shard of layer "${name}"`, {
        fix: "Rename the layer; kernels of shards have such names",
        span: reader.name(model, taken.name),
      });
    }
  }
}

function checkLayer(reader: Reader, model: Built<string, unknown>, name: string, layer: unknown): CheckedLayer {
  if (!/^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$/.test(name) || name.length > 64) {
    reader.report("HIRE-SPEC-006", `${show(name)} cannot name a layer`, {
      fix: "Use letters, digits and single underscores, starting with a letter, at most 64; the name becomes part of kernel and file names",
      span: reader.name(model, name),
    });
  }
  if (isBuilt(layer, "softmax")) return checkSoftmax(reader, name, layer);
  if (isBuilt(layer, "ffn")) return checkFfn(reader, name, layer);
  reader.report("HIRE-SPEC-014", `Layer ${show(name)} is ${show(layer)}, not a layer`, {
    fix: "Make it with softmax({ … }) or ffn({ … })",
    span: reader.value(model, name),
  });
  return {} as CheckedLayer;
}

/** Where scores are estimates anyway, the last hundredth of recall is not worth several times the survivors. */
const DEFAULT_SELECTOR: CheckedSelector = { kind: "twoStage", recall: 0.99 };

const SOFTMAX_PROPERTIES = [
  ..."inputs rows dtype weight estimator k candidates select certify batch crossover shards".split(" "),
  ...OPTION_PROPERTIES,
];

function checkSoftmax(reader: Reader, name: string, layer: Built<"softmax", unknown>): CheckedSoftmax {
  const options = reader.options(layer, SOFTMAX_PROPERTIES);
  const inputs = reader.count(layer, "inputs", MAX_EXTENT);
  const rows = reader.count(layer, "rows", MAX_EXTENT);
  const k = reader.count(layer, "k", MAX_EXTENT);
  const batch = reader.count(layer, "batch", MAX_BATCH, 1);
  const crossover = reader.choice(layer, "crossover", ["dense", "ignore"] as const, "dense");
  const dtype = reader.choice(layer, "dtype", ["f32", "f16", "bf16"] as const, "bf16");
  const weight = reader.tensorName(layer, "weight");
  const estimator = checkEstimator(reader, layer, options.estimator);
  checkRank(reader, layer, estimator, { rows, inputs });
  const isDense = estimator?.kind === "dense";
  const select = checkSelector(reader, layer, options.select, isDense ? { kind: "exact" } : DEFAULT_SELECTOR);
  if (isDense && options.candidates !== undefined) {
    reader.report("HIRE-SPEC-015", "`candidates` has no meaning with dense(), which scores every row exactly", {
      fix: "Remove `candidates`",
      span: reader.name(layer, "candidates"),
    });
  }
  const certify = checkCertify(reader, layer, estimator, select, inputs);
  const defaulted = isDense || options.candidates === undefined;
  const defaultCandidates = isDense ? k : Math.min(4 * k, rows);
  const candidates = defaulted ? defaultCandidates : reader.count(layer, "candidates", MAX_EXTENT);
  if (k > rows) {
    reader.report("HIRE-SPEC-012", `\`k\` (${k}) is larger than \`rows\` (${rows})`, {
      fix: "Lower k: a layer cannot return more rows than it has",
      span: reader.value(layer, "k"),
    });
  } else if (k > candidates) {
    reader.report("HIRE-SPEC-011", `\`k\` (${k}) is larger than \`candidates\` (${candidates})`, {
      fix: "Raise candidates, or lower k: the k results are taken from the candidates. Four times k is a good start",
      span: reader.value(layer, "candidates"),
    });
  }
  if (candidates > rows && k <= rows) {
    reader.report("HIRE-SPEC-012", `\`candidates\` (${candidates}) is larger than \`rows\` (${rows})`, {
      fix: "Lower candidates to at most rows",
      span: reader.value(layer, "candidates"),
    });
  }
  checkExpected(reader, options.select, { select, candidates, choices: rows });
  return {
    ...{ kind: "softmax", name, inputs, rows, dtype, weight },
    ...{ estimator: estimator!, k, candidates, select, certify, batch, crossover },
    options: checkOptions(reader, layer, { k, isDense, certify }),
    ...checkShards(reader, layer, { kind: "softmax", choices: rows, common: 0, selected: candidates, k }),
  };
}

export function checkEstimator(
  reader: Reader,
  layer: Built<string, unknown>,
  estimator: unknown,
): CheckedEstimator | undefined {
  if (isBuilt(estimator, "dense")) return { kind: "dense" };
  if (isBuilt(estimator, "quantized")) {
    reader.options(estimator, ["bits", "group", "activations"]);
    return {
      kind: "quantized",
      bits: reader.choice(estimator, "bits", [2, 3, 4, 5, 6, 8] as const),
      group: reader.choice(estimator, "group", [32, 64, 128, "row"] as const, 32),
      activations: reader.choice(estimator, "activations", ["int8", "f32"] as const, "int8"),
    };
  }
  if (isBuilt(estimator, "lowRank")) return checkLowRank(reader, estimator);
  reader.missingBuilder(
    layer,
    "estimator",
    estimator,
    "quantized({ bits: 4 }), lowRank({ rank: 64, bits: 8 }) or dense()",
  );
  return undefined;
}

function checkLowRank(reader: Reader, estimator: Built<"lowRank", unknown>): CheckedEstimator {
  const { activations: given } = reader.options(estimator, ["rank", "bits", "basis", "activations"]);
  const bits = reader.choice(estimator, "bits", [4, 8, 16] as const);
  const activations = reader.choice(estimator, "activations", ["int8", "f32"] as const, bits === 16 ? "f32" : "int8");
  if (bits === 16 && given === "int8") {
    reader.report("HIRE-SPEC-015", '`activations: "int8"` has no meaning with factors of 16 bits, which are floats', {
      fix: "Remove `activations`, or use 4 or 8 bits",
      span: reader.value(estimator, "activations"),
    });
  }
  const basis = reader.choice(estimator, "basis", ["weights", "activations"] as const, "weights");
  return { kind: "lowRank", rank: reader.count(estimator, "rank", MAX_EXTENT), bits, basis, activations };
}

/** A basis has at most as many rows as the matrix has rows and columns. */
export function checkRank(
  reader: Reader,
  layer: Built<string, unknown>,
  estimator: CheckedEstimator | undefined,
  { rows, inputs }: { readonly rows: number; readonly inputs: number },
): void {
  if (estimator?.kind !== "lowRank" || !(estimator.rank > Math.min(rows, inputs))) return;
  const built = (layer.options as { estimator: Built<"lowRank", unknown> }).estimator;
  reader.report(
    "HIRE-SPEC-012",
    `\`rank\` (${estimator.rank}) is larger than the matrix of ${rows} × ${inputs} can have`,
    {
      fix: "Lower rank: it pays below a quarter of the inputs at most",
      span: reader.value(built, "rank"),
    },
  );
}

/** Reports HIRE-SPEC-010 where a threshold is to leave fewer than the candidates, or more than there are. */
export function checkExpected(
  reader: Reader,
  selector: unknown,
  { select, candidates, choices }: { select: CheckedSelector; candidates: number; choices: number },
): void {
  if (select.kind !== "statistical" || select.expected === undefined) return;
  if (!(select.expected < candidates || select.expected > choices) || candidates > choices) return;
  const built = selector as Built<string, unknown>;
  reader.report(
    "HIRE-SPEC-010",
    `\`expected\` must be from \`candidates\` (${candidates}) to ${choices}, not ${select.expected}`,
    { fix: "Twice the candidates is a good start; remove it for that", span: reader.value(built, "expected") },
  );
}

export function checkSelector(
  reader: Reader,
  layer: Built<string, unknown>,
  selector: unknown,
  fallback: CheckedSelector,
): CheckedSelector {
  if (selector === undefined) return fallback;
  if (isBuilt(selector, "exact")) return { kind: "exact" };
  if (isBuilt(selector, "statistical")) {
    if (selector.options === undefined) return { kind: "statistical" };
    const { expected } = reader.options(selector, ["expected"]);
    return expected === undefined
      ? { kind: "statistical" }
      : { kind: "statistical", expected: reader.count(selector, "expected", MAX_EXTENT) };
  }
  if (isBuilt(selector, "twoStage")) {
    const { recall } = reader.options(selector, ["recall"]);
    if (typeof recall === "number" && recall > 0 && recall <= 1) return { kind: "twoStage", recall };
    if (recall === undefined) reader.missing(selector, "recall", "a share such as 0.99");
    else
      reader.report("HIRE-SPEC-010", `\`recall\` must be a number above 0 and at most 1, not ${show(recall)}`, {
        fix: "Use a share such as 0.99",
        span: reader.value(selector, "recall"),
      });
  } else {
    reader.missingBuilder(layer, "select", selector, "exact(), twoStage({ recall: 0.99 }) or statistical()");
  }
  return { kind: "exact" };
}
