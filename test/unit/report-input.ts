// A calibration of a small layer with random weights, as `hirec calibrate` would find it, and what a report is made of beside it.

import { rankSettings } from "../../compiler/calibrate/choose.ts";
import { gridOf } from "../../compiler/calibrate/grid.ts";
import { calibrateLayer } from "../../compiler/calibrate/layer.ts";
import { proposedPlan } from "../../compiler/calibrate/proposed-plan.ts";
import {
  type Calibration,
  type LayerCalibration,
  RESULT_FORMAT,
  type Target,
} from "../../compiler/calibrate/result.ts";
import { check } from "../../compiler/check.ts";
import type { CalibrationReport } from "../../compiler/report/calibration.ts";
import { defineModel, ffn, quantized, softmax, twoStage } from "../../dsl/index.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import { mulberry32, normal } from "../cases/random.ts";

export interface ReportChanges {
  readonly kind?: "head" | "ffn";
  readonly target?: Target;
  readonly certify?: "report";
  /** One weight for all rows. */
  readonly alike?: boolean;
  readonly rank?: readonly number[];
}

const RUN = { command: "hirec calibrate small.hire.ts", date: "2026-01-02T03:04:05Z", hirec: "0.1.0", node: "20.0.0" };

const [INPUTS, ROWS, TOKENS] = [32, 512, 96];

export async function calibrationInput(changes: ReportChanges = {}): Promise<CalibrationReport> {
  const { kind = "head", target = { measure: "recall", value: 0.9 }, certify, alike = false, rank = [16] } = changes;
  const estimator = quantized({ bits: 8, group: 32 });
  const shared = { inputs: INPUTS, dtype: "f32" as const, estimator, k: 8, candidates: 32 };
  const head = softmax({
    ...{ ...shared, rows: ROWS, weight: "w", select: twoStage({ recall: 0.95 }) },
    ...(certify && { certify }),
  });
  const weights = { up: "up", down: "down" };
  const mlp = ffn({
    ...shared,
    hidden: ROWS,
    weights,
    activation: (z) => Math.max(z, 0),
    gated: false,
    group: { size: 4, score: "max" },
  });
  const model = check({ model: defineModel("small", kind === "head" ? { head } : { mlp }), sites: [] });
  const layer = model.layers[0]!;
  const random = mulberry32(7);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => (alike ? 1 : normal(random)));
  const matrix = (rows: number, inputs: number) => ({
    ...{ rows, inputs, dtype: "f32" as const, bytes: new Uint8Array(numbers(rows * inputs).buffer) },
  });
  const scored = matrix(ROWS, INPUTS);
  const x = Float32Array.from({ length: TOKENS * INPUTS }, () => normal(random));
  const grid = gridOf(layer, { bits: [2, 4, 8], group: [32], rank, candidates: [8, 12, 16, 32], select: [0.95, 1] });
  const found = await calibrateLayer({
    ...{ layer, grid, target, product: plainProduct, onRows: () => {} },
    weights: { scored, ...(kind === "ffn" && { ffn: { up: scored, down: matrix(INPUTS, ROWS) } }) },
    tokens: { x, counts: { recorded: TOKENS, distinct: TOKENS, calibration: TOKENS / 2, heldOut: TOKENS / 2 } },
    known: { get: () => undefined, set: async () => {} },
  });
  const settings = rankSettings(found.settings, target, layer.k);
  const proposal = settings.findIndex(({ bound }) => bound >= target.value);
  const chosen: LayerCalibration = {
    ...found,
    settings,
    best: settings.length - 1,
    ...(proposal >= 0 && { proposal }),
  };
  const problem = { code: "HIRE-CAL-004", message: "No setting reaches it", fix: "Lower the target" };
  const result: Calibration = {
    ...{ format: RESULT_FORMAT, model: "small", spec: "small.hire.ts", target, seed: 1, engine: "JavaScript" },
    ...{ layers: [chosen], seconds: 1, peakBytes: 1e8, problems: proposal >= 0 ? [] : [problem] },
  };
  return { result, plan: proposedPlan(model, result), diff: "--- a\n+++ a\n-  k: 1\n+  k: 2\n", run: RUN };
}
