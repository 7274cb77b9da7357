// What a softmax layer takes besides tokens.

import { HireError } from "./errors.ts";
import type { SoftmaxPlan } from "./plan.ts";

export interface SoftmaxInputs {
  /** `[rows]`, 1 where a row may be returned and 0 where not, for all tokens; without it, every row may be. */
  readonly mask?: Uint8Array;
  /** `[tokens]` numbers in [0, 1) by which the multinomial sampler draws; those outside count as the nearest, NaN as 0. */
  readonly uniforms?: Float32Array;
}

/**
 * @throws HireError HIRE-RUN-002 when an input is missing, has another type or length, is none of this layer's, or a mask
 * holds anything but 0 and 1.
 */
export function checkInputs(layer: string, plan: SoftmaxPlan, tokens: number, inputs: SoftmaxInputs): void {
  const problem = maskProblem(plan, inputs.mask) ?? uniformsProblem(plan, tokens, inputs.uniforms);
  if (problem === undefined) return;
  throw new HireError({ code: "HIRE-RUN-002", message: `Layer "${layer}": ${problem.message}`, fix: problem.fix });
}

interface Problem {
  readonly message: string;
  readonly fix: string;
}

function maskProblem({ mask: takesMask, rows }: SoftmaxPlan, mask?: Uint8Array): Problem | undefined {
  if (mask === undefined) return undefined;
  const fix = `Give the mask as ${rows} bytes, 1 for a row that may be returned and 0 for one that may not`;
  if (!takesMask) {
    return {
      message: "it was compiled without a mask, and one is given",
      fix: "Add mask: true to the spec, or leave the mask out",
    };
  }
  if (!isTyped(mask, "Uint8Array")) return { message: "the mask is not a Uint8Array", fix };
  if (mask.length !== rows) return { message: `the mask has ${mask.length} entries for ${rows} rows`, fix };
  const row = mask.findIndex((allowed) => allowed > 1);
  return row < 0 ? undefined : { message: `the mask is ${mask[row]} for row ${row}, which is neither 0 nor 1`, fix };
}

function uniformsProblem({ sampler }: SoftmaxPlan, tokens: number, uniforms?: Float32Array): Problem | undefined {
  const fix = `Give a Float32Array of ${tokens} numbers in [0, 1), one per token`;
  if (sampler !== "multinomial") {
    if (uniforms === undefined) return undefined;
    return {
      message: "its results are not drawn at random, and uniform numbers are given",
      fix: "Add sample: multinomial() to the spec, or leave the numbers out",
    };
  }
  if (uniforms === undefined) return { message: "it draws at random, and no uniform numbers are given", fix };
  if (!isTyped(uniforms, "Float32Array")) return { message: "the uniform numbers are not a Float32Array", fix };
  if (uniforms.length === tokens) return undefined;
  return { message: `there are ${uniforms.length} uniform numbers for ${tokens} tokens`, fix };
}

/** By name, not by instanceof: a page's frames have types of their own. */
function isTyped(value: unknown, type: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${type}]`;
}

/** The mask as kernels read it: bit r mod 32 of word r / 32 is row r's. */
export function maskBits(rows: number, mask?: Uint8Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(rows / 32));
  for (let row = 0; row < rows; row++) {
    if (mask === undefined || mask[row]) words[row >> 5]! |= 1 << (row & 31);
  }
  return words;
}
