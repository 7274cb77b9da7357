// Layers of the shapes of real models, with weights and inputs of stated distributions. What is recalled on them says nothing of a
// model; it shows what changes with what is varied: the shape, the columns' sizes, and how popular rows are.
//
// Row i of the scored matrix is  w_i = s · g_i + b_i m:  g_i is standard normal; s_j = (1 + p(j))^-decay are the columns' sizes, at
// random places p; m is a direction of random signs, of length 1; b_i is how popular the row is, with mean 0 and deviation 1. An
// input is  x = s · z + Σ 0.3 w_r, less what of it lies along m, + t m:  z is standard normal, t is 0 ("even") or such that popularity
// deviates half as much as the rest of the scores does ("popular"). In a head the sum is over eight rows r, so that some rows stand out; rows lie in the order of their
// popularity, which falls as the logarithm of the rank (Zipf's law), and r is drawn by 1 / (1 + r), or alike for all rows.
// In a feed-forward popularity is normal, alike for the neurons of a group, and nothing stands out.

import { Matrix } from "ml-matrix";
import { check } from "../../compiler/check.ts";
import { defineModel, ffn, type Layer, quantized, softmax } from "../../dsl/index.ts";
import type { SharedBases } from "../../runtime/measure/copy.ts";
import { bf16ToF32, toBf16, type WeightMatrix } from "../../runtime/pack/weights.ts";
import { mulberry32, normal, permutation, type Random } from "../../test/cases/random.ts";
import { uniformRows, zipfRows } from "../scaling/placement.ts";
import type { StudyLayer } from "./layer.ts";

export interface HeadShape {
  readonly model: string;
  readonly name: string;
  readonly rows: number;
  /** Only every so many rows are there: a sample, as popular as rows of the whole head. */
  readonly every: number;
  readonly inputs: number;
  readonly k: number;
  readonly decay: number;
  /** Of each part; twice as many are measured, and as many again fitted to. */
  readonly tokens: number;
}

export interface FfnShape {
  readonly model: string;
  readonly inputs: number;
  readonly hidden: number;
  /** Only every so many neurons are there, of the input's whole width. */
  readonly every: number;
  readonly group: number;
  /** Share of the groups that are chosen. */
  readonly share: number;
  readonly decay: number;
  readonly tokens: number;
}

/** Rows that stand out of an input to a head, and how much of each is in it. */
const [STANDING_OUT, PART] = [8, 0.3];

/** Popularity's part of the scores' deviation, where there is one, relative to what is random. */
const POPULARITY = 0.5;

/** What a compiled feed-forward recomputes, in multiples of k. */
const FFN_CANDIDATES = 1.5;

const SEED = 20_240_214;

export function syntheticHead({ model, name, rows: all, every, inputs, k, decay, tokens }: HeadShape): StudyLayer {
  const rows = Math.floor(all / every);
  const random = mulberry32(SEED);
  const space = spaceOf(random, inputs, decay);
  // The mean of log(1 + row) is log(rows) - 1, and its deviation 1.
  const popularity = (row: number) => Math.log(all) - 1 - Math.log(1 + row * every);
  const words = new Uint16Array(rows * inputs);
  fillRows(random, space, words, popularity);
  const at = (row: number, j: number) => bf16ToF32(words[row * inputs + j]!);
  const draws = [uniformRows(random, rows, STANDING_OUT), zipfRows(random, rows, STANDING_OUT)];
  const shares = [0, POPULARITY];
  const inputsOf = (part: number) =>
    inputsIn(random, space, tokens, shares[part]!, (x) => {
      for (const row of draws[part]!()) for (let j = 0; j < inputs; j++) x[j]! += PART * at(row, j);
    });
  const layer = softmax({ ...{ rows, inputs, k, weight: "w" }, estimator: quantized({ bits: 4 }), dtype: "bf16" });
  return {
    ...{ model, name },
    source: `random head: s_j = (1 + p(j))^-${decay}${sampled(every, all, "rows")}`,
    layer: checked(layer),
    weights: { scored: matrix(rows, inputs, words) },
    fit: joined([inputsOf(0), inputsOf(1)]),
    x: joined([inputsOf(0), inputsOf(1)]),
    parts: [
      { name: "even", from: 0, to: tokens },
      { name: "popular", from: tokens, to: 2 * tokens },
    ],
    bases: space.bases,
    orders: [{ by: "popularity", choices: Uint32Array.from({ length: rows }, (_, row) => row) }],
  };
}

export function syntheticFfn({ model, inputs, every, group, share, decay, tokens, ...shape }: FfnShape): StudyLayer {
  const hidden = Math.floor(shape.hidden / every);
  const random = mulberry32(SEED + 1);
  const space = spaceOf(random, inputs, decay);
  const groups = Math.ceil(hidden / group);
  const popular = Float64Array.from({ length: groups }, () => normal(random));
  const [gate, up, down] = [0, 1, 2].map(() => new Uint16Array(hidden * inputs)) as [
    Uint16Array,
    Uint16Array,
    Uint16Array,
  ];
  fillRows(random, space, gate, (row) => popular[Math.floor(row / group)]!);
  for (const words of [up, down]) for (let i = 0; i < words.length; i++) words[i] = toBf16(normal(random));
  const k = Math.max(1, Math.round(share * groups));
  const layer = ffn({
    ...{ inputs, hidden, dtype: "bf16", weights: { gate: "g", up: "u", down: "d" } },
    activation: (z) => Math.max(z, 0),
    ...{ estimator: quantized({ bits: 4 }), group: { size: group }, k, candidates: Math.ceil(FFN_CANDIDATES * k) },
  });
  const scored = matrix(hidden, inputs, gate);
  return {
    ...{ model, name: "feed-forward" },
    source: `random feed-forward: s_j = (1 + p(j))^-${decay}${sampled(every, shape.hidden, "neurons")}`,
    layer: checked(layer),
    weights: { scored, ffn: { gate: scored, up: matrix(hidden, inputs, up), down: matrix(inputs, hidden, down) } },
    fit: inputsIn(random, space, tokens, POPULARITY),
    x: inputsIn(random, space, tokens, POPULARITY),
    parts: [{ name: "popular", from: 0, to: tokens }],
    bases: space.bases,
    orders: [
      {
        by: "popularity",
        choices: Uint32Array.from(popular.keys()).sort((a, b) => popular[b]! - popular[a]! || a - b),
      },
    ],
  };
}

function sampled(every: number, of: number, what: string): string {
  return every > 1 ? `, one of ${every} of ${of} ${what}` : "";
}

/** Columns of the shapes that are not varied fall by this. */
export const DECAY = 0.25;

interface Space {
  readonly inputs: number;
  readonly sizes: Float64Array;
  /** The direction of popularity. */
  readonly direction: Float64Array;
  readonly bases: SharedBases;
}

function spaceOf(random: Random, inputs: number, decay: number): Space {
  const places = permutation(random, inputs);
  const sizes = Float64Array.from(places, (place) => (1 + place) ** -decay);
  const direction = sizes.map(() => (random() < 0.5 ? -1 : 1) / Math.sqrt(inputs));
  const largest = [...sizes.keys()].sort((a, b) => sizes[b]! - sizes[a]!);
  // The singular vectors of infinitely many such rows, all but: the columns of the largest sizes, since columns are independent, and
  // the direction of popularity. Finding them from the rows would take ml-matrix minutes, or hours for 4096 inputs.
  const of = () => (rank: number) => {
    const basis = Matrix.zeros(rank, inputs);
    const columns = largest.slice(0, rank - 1);
    columns.forEach((column, i) => void basis.set(i, column, 1));
    // Orthogonal to the columns.
    const rest = Array.from(direction, (value, j) => (columns.includes(j) ? 0 : value));
    const length = Math.hypot(...rest);
    basis.setRow(
      rank - 1,
      rest.map((value) => value / length),
    );
    return basis;
  };
  return { inputs, sizes, direction, bases: { of } };
}

function fillRows(random: Random, space: Space, words: Uint16Array, popularity: (row: number) => number): void {
  const { inputs, sizes, direction } = space;
  for (let at = 0, row = 0; at < words.length; row++) {
    const popular = popularity(row);
    for (let j = 0; j < inputs; j++, at++) words[at] = toBf16(normal(random) * sizes[j]! + popular * direction[j]!);
  }
}

/** f32 `[tokens, inputs]`. @param add what stands out. */
function inputsIn(
  random: Random,
  { inputs, sizes, direction }: Space,
  tokens: number,
  popularity: number,
  add: (x: Float64Array) => void = () => {},
): Float32Array {
  const all = new Float32Array(tokens * inputs);
  for (let token = 0; token < tokens; token++) {
    const x = sizes.map((size) => normal(random) * size);
    add(x);
    // Nothing of it is left to chance.
    const along = x.reduce((sum, value, j) => sum + value * direction[j]!, 0);
    x.forEach((value, j) => {
      x[j] = value - along * direction[j]!;
    });
    // What the scores deviate by where no row is popular.
    const deviation = Math.hypot(...x.map((value, j) => value * sizes[j]!));
    all.set(
      x.map((value, j) => value + popularity * deviation * direction[j]!),
      token * inputs,
    );
  }
  return all;
}

function checked(layer: Layer) {
  return check({ model: defineModel("ablations", { layer }), sites: [] }).layers[0]!;
}

function matrix(rows: number, inputs: number, words: Uint16Array): WeightMatrix {
  return { rows, inputs, dtype: "bf16", bytes: new Uint8Array(words.buffer) };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
