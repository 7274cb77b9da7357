// A feed-forward layer, checked.

import type { Built } from "../../dsl/index.ts";
import type { FfnPlan, GroupPlan } from "../../runtime/plan.ts";
import { checkEstimator, checkExpected, checkRank, checkSelector, MAX_EXTENT } from "../check.ts";
import { type CheckedFfn, MAX_BATCH } from "../model.ts";
import { optionsOf, type Reader, show } from "./reader.ts";
import { checkShards } from "./shards.ts";

const PROPERTIES =
  "inputs hidden outputs dtype gated weights bias activation estimator group k candidates common select batch crossover shards".split(
    " ",
  );

/** A group lies on adjacent lanes of one workgroup. */
const MAX_GROUP = 64;

export function checkFfn(reader: Reader, name: string, layer: Built<"ffn", unknown>): CheckedFfn {
  const options = reader.options(layer, PROPERTIES);
  const inputs = reader.count(layer, "inputs", MAX_EXTENT);
  const rows = reader.count(layer, "hidden", MAX_EXTENT);
  const outputs = reader.count(layer, "outputs", MAX_EXTENT, inputs);
  const batch = reader.count(layer, "batch", MAX_BATCH, 1);
  const crossover = reader.choice(layer, "crossover", ["dense", "ignore"] as const, "dense");
  const dtype = reader.choice(layer, "dtype", ["f32", "f16", "bf16"] as const, "bf16");
  const gated = reader.choice(layer, "gated", [true, false] as const, true);
  const weights = checkWeights(reader, layer, gated);
  const bias = checkBias(reader, layer, gated);
  const activation = reader.scalar(layer, "activation");
  if (options.activation === undefined) reader.missing(layer, "activation", "a function such as (z) => Math.max(z, 0)");
  const estimator = checkEstimator(reader, layer, options.estimator);
  checkRank(reader, layer, estimator, { rows, inputs });
  const select = checkSelector(reader, layer, options.select, { kind: "exact" });
  const group = checkGroup(reader, layer, rows);
  const { common } = group;
  const selectable = group.count - common;
  const k = checkShare(reader, layer, "k", group.count);
  if (k > selectable) {
    reader.report("HIRE-SPEC-012", `\`k\` (${k}) is larger than the number of groups to select from (${selectable})`, {
      fix: `Lower k: ${rows} neurons in groups of ${group.size} are ${group.count} groups${common > 0 ? `, of which ${common} are common` : ""}`,
      span: reader.value(layer, "k"),
    });
  }
  const isDense = estimator?.kind === "dense";
  if (isDense && options.candidates !== undefined) {
    reader.report("HIRE-SPEC-015", "`candidates` has no meaning with dense(), which scores every neuron exactly", {
      fix: "Remove `candidates`",
      span: reader.name(layer, "candidates"),
    });
  }
  const given = !isDense && options.candidates !== undefined;
  const candidates = given
    ? checkShare(reader, layer, "candidates", group.count)
    : Math.min(isDense ? k : 2 * k, selectable);
  if (k <= selectable && k > candidates) {
    reader.report("HIRE-SPEC-011", `\`k\` (${k}) is larger than \`candidates\` (${candidates})`, {
      fix: "Raise candidates, or lower k: the k results are taken from the candidates. Twice k is a good start",
      span: reader.value(layer, "candidates"),
    });
  }
  if (k <= selectable && candidates > selectable) {
    reader.report(
      "HIRE-SPEC-012",
      `\`candidates\` (${candidates}) is larger than the number of groups to select from (${selectable})`,
      { fix: "Lower candidates to at most that", span: reader.value(layer, "candidates") },
    );
  }
  checkExpected(reader, options.select, { select, candidates, choices: selectable });
  return {
    ...{ kind: "ffn", name, inputs, rows, outputs, dtype, gated, weights, ...bias, group },
    ...{
      activation: activation!,
      estimator: estimator!,
      k,
      candidates,
      select,
      certify: "off",
      batch,
      crossover,
    },
    ...checkShards(reader, layer, { kind: "ffn", choices: selectable, common, selected: k, k }),
  };
}

function checkWeights(reader: Reader, layer: Built<string, unknown>, gated: boolean): FfnPlan["weights"] {
  const part = reader.part(layer, "weights", "an object with the names of the tensors gate, up and down");
  if (!part) return { up: "", down: "" };
  const { gate } = reader.options(part, ["gate", "up", "down"]);
  if (!gated && gate !== undefined) {
    reader.report("HIRE-SPEC-015", "`gate` has no meaning where `gated` is false", {
      fix: "Remove `gate`, or `gated: false`",
      span: reader.name(part, "gate"),
    });
  }
  return {
    ...(gated && { gate: reader.tensorName(part, "gate") }),
    up: reader.tensorName(part, "up"),
    down: reader.tensorName(part, "down"),
  };
}

/** @returns the bias of the matrix that is scored apart from the others. */
function checkBias(
  reader: Reader,
  layer: Built<string, unknown>,
  gated: boolean,
): Pick<CheckedFfn, "options" | "biases"> {
  const part = reader.part(layer, "bias", "an object with the names of tensors for gate, up or down", {});
  if (!part) return { options: {} };
  const given = reader.options(part, ["gate", "up", "down"]);
  if (!gated && given.gate !== undefined) {
    reader.report("HIRE-SPEC-015", "`gate` has no meaning where `gated` is false", {
      fix: "Remove `gate`, or `gated: false`",
      span: reader.name(part, "gate"),
    });
  }
  const nameOf = (property: "gate" | "up" | "down") =>
    given[property] === undefined ? undefined : reader.tensorName(part, property);
  const [scored, up, down] = [nameOf(gated ? "gate" : "up"), gated ? nameOf("up") : undefined, nameOf("down")];
  return {
    options: scored === undefined ? {} : { bias: scored },
    ...((up ?? down) !== undefined && {
      biases: { ...(up !== undefined && { up }), ...(down !== undefined && { down }) },
    }),
  };
}

function checkGroup(reader: Reader, layer: Built<string, unknown>, rows: number): GroupPlan {
  const part = reader.part(layer, "group", "an object such as { size: 8 }", {});
  if (!part) return { size: 1, count: rows, common: 0, score: "max" };
  const { score } = reader.options(part, ["size", "score"]);
  const size = reader.count(part, "size", MAX_GROUP, 8);
  const count = Math.ceil(rows / size);
  const common = checkCommon(reader, layer, count);
  if (typeof score === "function") return { size, count, common, score: reader.scalar(part, "score") ?? "max" };
  return { size, count, common, score: reader.choice(part, "score", ["max", "sum", "l2"] as const, "max") };
}

/** A whole number, or below 1 a share of `count`, rounded up. NaN after a report. */
function checkShare(reader: Reader, layer: Built<string, unknown>, property: string, count: number): number {
  const { [property]: value } = optionsOf(layer);
  if (typeof value === "number" && value > 0 && value < 1) return Math.ceil(value * count);
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) {
    return reader.count(layer, property, MAX_EXTENT);
  }
  reader.report(
    "HIRE-SPEC-010",
    `\`${property}\` must be a number of groups, or above 0 and below 1 a share of them, not ${show(value)}`,
    { fix: "Give a whole number such as 16, or a share such as 0.05", span: reader.value(layer, property) },
  );
  return Number.NaN;
}

function checkCommon(reader: Reader, layer: Built<string, unknown>, groups: number): number {
  const { common = 0 } = optionsOf(layer);
  if (Number.isSafeInteger(common) && (common as number) >= 0 && !((common as number) >= groups))
    return common as number;
  if (Number.isNaN(groups)) return 0;
  reader.report("HIRE-SPEC-010", `\`common\` must be a whole number from 0 to ${groups - 1}, not ${show(common)}`, {
    fix: "Give the number of groups at the front that every token computes, or remove it",
    span: reader.value(layer, "common"),
  });
  return 0;
}
