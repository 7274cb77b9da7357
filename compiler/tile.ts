// How a layer's rows are cut into buckets, tiles and steps, and what each packed tensor therefore holds. This depends on
// the layer alone, not on the device profile, so one pack serves every program of a plan.

import type { EstimatorPlan, SelectionPlan, SoftmaxPlan, TensorPlan, TilingPlan } from "../runtime/plan.ts";
import { type TensorToWrite, tensorBytes } from "../runtime/safetensors.ts";
import type { CheckedSoftmax } from "./model.ts";
import { DTYPE_BYTES, exactRowBytes, exactStride, paddedInputs, STEP_BYTES } from "./padding.ts";
import { expectedRecall, smallestKeep } from "./recall.ts";

/** Invocations of a scoring workgroup, one row each at a time: two warps, or one wave, everywhere. */
const LANES = 64;

/** Workgroups to aim at: enough to fill a large GPU a few times over, few enough to keep the survivors few. */
const WORKGROUPS = 1024;

const DTYPE_TENSOR = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** Largest group scale that a byte holds. */
const BYTE_MAX = 255;
const INT32_MAX = 2 ** 31 - 1;

export function tile(layer: CheckedSoftmax): SoftmaxPlan {
  const { kind, inputs, rows, dtype, weight, k, candidates, batch } = layer;
  const selection = planSelection(layer);
  const positions = Math.ceil(rows / selection.buckets);
  const estimator = planEstimator(layer);
  const rowBytes =
    estimator.kind === "dense" ? exactRowBytes(layer) : (estimator.group * estimator.groups * estimator.bits) / 8;
  const tiling: TilingPlan = {
    lanes: LANES,
    tiles: Math.ceil(positions / LANES),
    steps: Math.ceil(rowBytes / STEP_BYTES),
  };
  const tensors = planTensors(layer, estimator, selection, tiling);
  const exact = tensors.find(({ role }) => role === "exact");
  return {
    kind,
    inputs,
    rows,
    dtype,
    weight,
    k,
    candidates,
    batch,
    ...layer.options,
    estimator,
    selection,
    tiling,
    tensors,
    bytes: {
      dense: rows * (inputs + (layer.options.bias === undefined ? 0 : 1)) * DTYPE_BYTES[dtype],
      score: tensors.reduce((sum, tensor) => sum + (tensor === exact ? 0 : tensor.bytes), 0),
      rescore: exact ? candidates * exactRowBytes(layer) : 0,
    },
  };
}

function planSelection({ rows, k, candidates, select }: CheckedSoftmax): SelectionPlan {
  const tilesPerWorkgroup = Math.max(1, Math.round(rows / LANES / WORKGROUPS));
  const buckets = Math.ceil(rows / (LANES * tilesPerWorkgroup));
  const shape = { rows, count: buckets };
  const keep =
    select.kind === "exact"
      ? Math.min(candidates, Math.ceil(rows / buckets))
      : smallestKeep(shape, candidates, select.recall);
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

function planEstimator(layer: CheckedSoftmax): EstimatorPlan {
  const { estimator } = layer;
  if (estimator.kind === "dense") return estimator;
  const padded = paddedInputs(layer);
  const group = estimator.group === "row" ? padded : estimator.group;
  const groups = padded / group;
  const largestDot = padded * (2 ** (estimator.bits - 1) - 1) * 127;
  const fitting = estimator.activations === "int8" ? Math.max(1, Math.floor(INT32_MAX / largestDot)) : BYTE_MAX;
  const scaleMax = groups === 1 ? 1 : Math.min(BYTE_MAX, fitting);
  return { kind: "quantized", bits: estimator.bits, group, groups, activations: estimator.activations, scaleMax };
}

function planTensors(
  layer: CheckedSoftmax,
  estimator: EstimatorPlan,
  { buckets }: SelectionPlan,
  { lanes, tiles, steps }: TilingPlan,
): TensorPlan[] {
  const tensor = (role: TensorPlan["role"], dtype: TensorPlan["dtype"], shape: readonly number[]): TensorPlan => {
    const toWrite: TensorToWrite = { name: `${layer.name}.${role}`, dtype, shape };
    return { ...toWrite, role, bytes: tensorBytes(toWrite) };
  };
  const stepWords = STEP_BYTES / 4;
  // Row by row, for the rows that are scored and for those that are recomputed alike.
  const bias = layer.options.bias === undefined ? [] : [tensor("bias", "F32", [layer.rows])];
  if (estimator.kind === "dense") return [tensor("weights", "U32", [buckets, tiles, steps, lanes, stepWords]), ...bias];
  const scales =
    estimator.groups === 1 ? [] : [tensor("scales", "U32", [buckets, tiles, Math.ceil(estimator.groups / 4), lanes])];
  return [
    tensor("codes", "U32", [buckets, tiles, steps, lanes, stepWords]),
    ...scales,
    tensor("row_scales", "F32", [buckets, tiles, lanes]),
    tensor("exact", DTYPE_TENSOR[layer.dtype], [layer.rows, exactStride(layer)]),
    ...bias,
  ];
}
