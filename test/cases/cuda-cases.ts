// The cases that templates/cuda renders. What it does not render yet is refused (HIRE-PLAN-010).

import type { SoftmaxCase } from "./softmax-case.ts";
import { SOFTMAX_CASES } from "./softmax-cases.ts";

const WGSL_ONLY = ["bias", "mask", "temperature", "logSumExp", "sample"] as const;

export const CUDA_CASES: readonly SoftmaxCase[] = SOFTMAX_CASES.filter(({ layer }) =>
  WGSL_ONLY.every((option) => layer[option] === undefined),
);
