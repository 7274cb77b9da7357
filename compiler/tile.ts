// How a layer's rows are cut into buckets, tiles and steps, and what each packed tensor therefore holds. This depends on
// the layer alone, not on the device profile, so one pack serves every program of a plan.

import { codeFormat, codesPerStep, largestLevel } from "../runtime/pack/code-format.ts";
import type {
  BytesPlan,
  EstimatorPlan,
  LayerPlan,
  ScoredMatrixPlan,
  ScoredPlan,
  SelectionPlan,
  TensorPlan,
  TilingPlan,
} from "../runtime/plan.ts";
import { type TensorToWrite, tensorBytes } from "../runtime/safetensors.ts";
import { planCertificate } from "./certificate.ts";
import type { CheckedFfn, CheckedLayer, CheckedScored } from "./model.ts";
import { DTYPE_BYTES, exactRowBytes, exactStride, paddedInputs, STEP_BYTES, wholeChunks } from "./padding.ts";
import { expectedRecall, smallestKeep } from "./recall.ts";
import { checkedView } from "./scored-view.ts";
import { roomAbove, shareAbove, thresholdQuantile } from "./statistical.ts";

/** Invocations of a scoring workgroup, one row each at a time: two warps, or one wave, everywhere. */
const LANES = 64;

/** Workgroups to aim at: enough to fill a large GPU a few times over, few enough to keep the survivors few. */
const WORKGROUPS = 1024;

/** Scores that a threshold follows from, if there are as many: its deviation is then an eighth of theirs. */
const SAMPLE = 128;

/** Scores that an invocation of a statistical selection remembers: 1 KiB. */
const KEYS_PER_LANE = 256;

const DTYPE_TENSOR = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** Largest group scale that a byte holds. */
const BYTE_MAX = 255;
const INT32_MAX = 2 ** 31 - 1;

export function tile(layer: CheckedLayer): LayerPlan {
  const { inputs, rows, dtype, k, candidates, batch } = layer;
  const selection = planSelection(layer);
  const positions = Math.ceil(choices(layer) / selection.buckets);
  const estimator = planEstimator(layer);
  const matrix = matrixOf(estimator);
  const tiling: TilingPlan = {
    lanes: LANES,
    tiles: Math.ceil(positions / choicesPerTile(layer)),
    steps:
      matrix.kind === "dense"
        ? exactRowBytes(checkedView(layer)) / STEP_BYTES
        : (matrix.group * matrix.groups) / codesPerStep(matrix.bits),
  };
  const certificate = planCertificate(layer, estimator);
  const tensors = planTensors(layer, estimator, selection, tiling);
  const bytes = planBytes(layer, tensors);
  const scored: ScoredPlan = {
    inputs,
    rows,
    dtype,
    k,
    candidates,
    batch,
    ...layer.options,
    estimator,
    selection,
    tiling,
    tensors,
    bytes,
    ...(certificate && { certificate }),
    ...(layer.shard && { shard: layer.shard }),
  };
  if (layer.kind === "softmax") return { kind: layer.kind, weight: layer.weight, ...scored };
  const { kind, outputs, gated, weights, biases, group, activation } = layer;
  return { kind, outputs, gated, weights, ...(biases && { biases }), activation, ...scored, group };
}

/** What is selected from: rows, or groups of them that are not common. */
function choices(layer: CheckedLayer): number {
  return layer.kind === "ffn" ? layer.group.count - layer.group.common : layer.rows;
}

function choicesPerTile(layer: CheckedLayer): number {
  return layer.kind === "ffn" ? Math.floor(LANES / layer.group.size) : LANES;
}

function planBytes(layer: CheckedLayer, tensors: readonly TensorPlan[]): BytesPlan {
  const bytesOf = (isMeant: (tensor: TensorPlan) => boolean) =>
    tensors.filter(isMeant).reduce((sum, { bytes }) => sum + bytes, 0);
  const score = bytesOf(({ role }) => role !== "exact" && role !== "bundles");
  const element = DTYPE_BYTES[layer.dtype];
  if (layer.kind === "softmax") {
    const rescore = layer.estimator.kind === "dense" ? 0 : layer.candidates * exactRowBytes(layer);
    return { dense: layer.rows * layer.inputs * element, score, rescore };
  }
  const dense = layer.rows * ((layer.gated ? 2 : 1) * layer.inputs + layer.outputs) * element;
  const gathered = (layer.candidates + layer.group.common) * layer.group.size;
  return { dense, score, rescore: Math.min(layer.rows, gathered) * bundleStride(layer) * element };
}

/** Elements of a neuron's bundle: its gate, up and down rows, each padded to whole chunks. */
function bundleStride({ inputs, outputs, dtype, gated }: CheckedFfn): number {
  return (gated ? 2 : 1) * wholeChunks(inputs, dtype) + wholeChunks(outputs, dtype);
}

/** A threshold needs a sample of scores to follow from, and an invocation has to remember its own. */
function tilesOf(layer: CheckedLayer, wanted: number): number {
  if (layer.select.kind !== "statistical") return wanted;
  const least = Math.ceil(Math.min(SAMPLE, choices(layer)) / choicesPerTile(layer));
  return Math.min(Math.floor(KEYS_PER_LANE / layer.batch), Math.max(least, wanted));
}

/** Workgroups that score, one to each. */
export function bucketsOf(layer: CheckedLayer): number {
  const [rows, perTile] = [choices(layer), choicesPerTile(layer)];
  const tilesPerWorkgroup = tilesOf(layer, Math.max(1, Math.round(rows / perTile / WORKGROUPS)));
  return Math.ceil(rows / (perTile * tilesPerWorkgroup));
}

function planSelection(layer: CheckedLayer): SelectionPlan {
  const { k, candidates, select, certify } = layer;
  const rows = choices(layer);
  const buckets = bucketsOf(layer);
  const shape = { rows, count: buckets };
  const largestBucket = Math.ceil(rows / buckets);
  if (select.kind === "statistical") {
    const expected = select.expected ?? Math.min(2 * candidates, rows);
    // Nothing is to be dropped then.
    if (expected === rows) return { kind: "exact", buckets, keep: largestBucket, recallOfCandidates: 1, recallOfK: 1 };
    return {
      kind: select.kind,
      buckets,
      keep: roomAbove(shape, expected),
      quantile: Math.fround(rounded(thresholdQuantile(rows, expected))),
      recallOfCandidates: rounded(shareAbove(shape, candidates, expected)),
      recallOfK: rounded(shareAbove(shape, k, expected)),
    };
  }
  const needed =
    select.kind === "exact" ? Math.min(candidates, largestBucket) : smallestKeep(shape, candidates, select.recall);
  // What a bucket drops is at most the last that it keeps; one more, so that this is no row that is needed.
  const keep = certify === "off" ? needed : Math.min(largestBucket, needed + 1);
  return {
    kind: select.kind,
    buckets,
    keep,
    recallOfCandidates: rounded(expectedRecall(shape, candidates, keep)),
    recallOfK: rounded(expectedRecall(shape, k, keep)),
  };
}

/** Six decimals: beyond them `Math.log` may differ between machines, and output must not. */
function rounded(share: number): number {
  return Number(share.toFixed(6));
}

function planEstimator(layer: CheckedLayer): EstimatorPlan {
  const { estimator } = layer;
  if (estimator.kind !== "lowRank") return planMatrix(layer);
  const { kind, rank, bits, basis, activations } = estimator;
  return { kind, rank, bits, basis, activations, rows: planMatrix(checkedView(layer)) };
}

/** The matrix of an estimator that is scored. */
function matrixOf(estimator: EstimatorPlan): ScoredMatrixPlan {
  return estimator.kind === "lowRank" ? estimator.rows : estimator;
}

function planMatrix(layer: CheckedScored): ScoredMatrixPlan {
  const { estimator } = layer;
  if (estimator.kind !== "quantized") return { kind: "dense" };
  const padded = paddedInputs(layer);
  const group = estimator.group === "row" ? padded : estimator.group;
  const groups = padded / group;
  const largestDot = padded * largestLevel(estimator.bits) * 127;
  const fitting = estimator.activations === "int8" ? Math.max(1, Math.floor(INT32_MAX / largestDot)) : BYTE_MAX;
  const scaleMax = groups === 1 ? 1 : Math.min(BYTE_MAX, fitting);
  return { kind: "quantized", bits: estimator.bits, group, groups, activations: estimator.activations, scaleMax };
}

function planTensors(
  layer: CheckedLayer,
  estimator: EstimatorPlan,
  { buckets }: SelectionPlan,
  { lanes, tiles, steps }: TilingPlan,
): TensorPlan[] {
  const tensor: TensorPlanner = (role, dtype, shape) => {
    const toWrite: TensorToWrite = { name: `${layer.name}.${role}`, dtype, shape };
    return { ...toWrite, role, bytes: tensorBytes(toWrite) };
  };
  const stepWords = STEP_BYTES / 4;
  const bundles =
    layer.kind === "ffn"
      ? [tensor("bundles", DTYPE_TENSOR[layer.dtype], [layer.group.count * layer.group.size, bundleStride(layer)])]
      : [];
  const exact =
    layer.kind === "ffn" || estimator.kind === "dense"
      ? bundles
      : [tensor("exact", DTYPE_TENSOR[layer.dtype], [layer.rows, exactStride(layer)])];
  // Row by row, for the rows that are scored and for those that are recomputed alike.
  const bias = [
    ...(layer.options.bias === undefined ? [] : [tensor("bias", "F32", [layer.rows])]),
    ...(layer.kind === "ffn" ? planBiases(layer, tensor) : []),
  ];
  const matrix = matrixOf(estimator);
  const basis = planBasis(layer, tensor);
  if (matrix.kind === "dense") {
    return [...basis, tensor("weights", "U32", [buckets, tiles, steps, lanes, stepWords]), ...exact, ...bias];
  }
  const { main, low } = codeFormat(matrix.bits);
  const scales =
    matrix.groups === 1 ? [] : [tensor("scales", "U32", [buckets, tiles, Math.ceil(matrix.groups / 4), lanes])];
  return [
    ...basis,
    tensor("codes", "U32", [buckets, tiles, steps, lanes, (codesPerStep(matrix.bits) * main) / 32]),
    ...(low === 0 ? [] : [tensor("low_codes", "U32", [buckets, tiles, steps, lanes, low])]),
    ...scales,
    tensor("row_scales", "F32", [buckets, tiles, lanes]),
    ...(layer.certify === "off" ? [] : [tensor("bounds", "F32", [buckets, tiles, lanes, 2])]),
    ...exact,
    ...bias,
  ];
}

type TensorPlanner = (role: TensorPlan["role"], dtype: TensorPlan["dtype"], shape: readonly number[]) => TensorPlan;

/** Biases of what is not scored; that of down is as long as the sums that it is added to. */
function planBiases({ biases, rows, outputs, dtype }: CheckedFfn, tensor: TensorPlanner): TensorPlan[] {
  return [
    ...(biases?.up === undefined ? [] : [tensor("up_bias", "F32", [rows])]),
    ...(biases?.down === undefined ? [] : [tensor("down_bias", "F32", [wholeChunks(outputs, dtype)])]),
  ];
}

/** The basis of a low-rank estimator, row by row, each padded to whole 16-byte chunks. */
function planBasis({ estimator, inputs }: CheckedLayer, tensor: TensorPlanner): TensorPlan[] {
  if (estimator.kind !== "lowRank") return [];
  const { rank, bits } = estimator;
  if (bits === 16) return [tensor("basis", "BF16", [rank, wholeChunks(inputs, "bf16")])];
  return [
    tensor("basis", "I8", [rank, Math.ceil(inputs / STEP_BYTES) * STEP_BYTES]),
    tensor("basis_scales", "F32", [rank]),
  ];
}
