// Recorded tokens in two parts without a token in common: one to choose by, one to confirm the choice.

import { createHash } from "node:crypto";
import type { TokenCounts } from "./result.ts";

export interface SplitTokens {
  /** The calibration part, then the held-out part, `[tokens, inputs]`. */
  readonly x: Float32Array;
  readonly counts: TokenCounts;
}

/**
 * Equal tokens count once. The others are shuffled, since neighbours in a text resemble each other, and halved.
 * @param most tokens that are taken in all.
 */
export function splitTokens(recorded: Float32Array, inputs: number, seed: number, most: number): SplitTokens {
  const count = recorded.length / inputs;
  const distinct = new Map<string, number>();
  for (let token = 0; token < count; token++) {
    const { buffer, byteOffset, byteLength } = recorded.subarray(token * inputs, (token + 1) * inputs);
    const hash = createHash("sha256")
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest("base64");
    if (!distinct.has(hash)) distinct.set(hash, token);
  }
  const tokens = [...distinct.values()];
  const random = randomNumbers(seed);
  for (let i = tokens.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [tokens[i], tokens[j]] = [tokens[j]!, tokens[i]!];
  }
  const taken = tokens.slice(0, most);
  const calibration = taken.length >> 1;
  // In the order of the recording, so that the same tokens give the same sums.
  const inOrder = (part: number[]) => part.sort((a, b) => a - b);
  const order = [...inOrder(taken.slice(0, calibration)), ...inOrder(taken.slice(calibration))];
  const x = new Float32Array(order.length * inputs);
  order.forEach((token, i) => void x.set(recorded.subarray(token * inputs, (token + 1) * inputs), i * inputs));
  return {
    x,
    counts: { recorded: count, distinct: tokens.length, calibration, heldOut: taken.length - calibration },
  };
}

/** Uniform numbers in [0, 1), the same for a seed on every machine: Tommy Ettinger's mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
