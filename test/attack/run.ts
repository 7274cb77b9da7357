// Attacks certificates: many random layers, each against an exact pass over all rows, in float64 and in f32 whose sums are
// taken in random order and whose subnormal numbers may vanish.

import { packLayer } from "../../runtime/pack/pack-layer.ts";
import type { SoftmaxPlan, TensorPlan } from "../../runtime/plan.ts";
import { boundOf, isAbove } from "../../runtime/reference/certificate.ts";
import { createReferenceSoftmax } from "../../runtime/reference/softmax.ts";
import { encode, roundTo } from "../cases/dtypes.ts";
import { oracle, sorted } from "../cases/oracle.ts";
import { mulberry32, permutation, type Random } from "../cases/random.ts";
import { ATTACKS, type Attack, BENIGN } from "./attacks.ts";
import { type Layer, planOf, randomLayer } from "./layers.ts";

/** What is broken on purpose, to see that the attack finds it. */
export type Sabotage = "none" | "row errors" | "token errors" | "rounding";

export interface Tally {
  readonly name: string;
  layers: number;
  /** Layers in which the same selection without a certificate returns something else than the exact pass. */
  lostWithout: number;
  certified: number;
  /** Claims that are wrong. */
  readonly wrong: string[];
}

export interface AttackOptions {
  readonly layers: number;
  readonly seed: number;
  readonly sabotage?: Sabotage;
  /** Whether the first wrong claim is enough. */
  readonly untilWrong?: boolean;
}

/** @returns one tally per kind of attack; the last is no attack. */
export async function attackCertificates({
  layers,
  seed,
  sabotage = "none",
  untilWrong = false,
}: AttackOptions): Promise<Tally[]> {
  const kinds = [...ATTACKS, BENIGN];
  const tallies = kinds.map(({ name }): Tally => ({ name, layers: 0, lostWithout: 0, certified: 0, wrong: [] }));
  for (let i = 0; i < layers; i++) {
    const kind = i % kinds.length;
    await attackOne(kinds[kind]!, mulberry32(seed * 1_000_003 + i), `layer ${i}`, tallies[kind]!, sabotage);
    if (untilWrong && tallies[kind]!.wrong.length > 0) break;
  }
  return tallies;
}

async function attackOne(attack: Attack, random: Random, where: string, tally: Tally, sabotage: Sabotage) {
  const layer = randomLayer(random);
  const made = planOf(layer);
  const { weights, x } = attackedNumbers(attack, made, random);
  const plan = sabotage === "rounding" ? withoutRounding(made) : made;
  const source = packed(plan, weights, sabotage);
  const reference = await createReferenceSoftmax("head", plan, source);
  const { certified, indices } = await reference.run(x);

  const { exact } = oracle({ ...made, certificate: undefined } as SoftmaxPlan & { certificate: never }, { weights })(x);
  // What exceeds f32 is infinite, as every backend returns it.
  const inF32 = exact.map((value) => (Number.isFinite(Math.fround(value)) ? value : Math.fround(value)));
  const best = sorted([...inF32.keys()], inF32).slice(0, plan.k);
  tally.layers++;
  if (String(await withoutCertificate(layer, weights, x)) !== String(best)) tally.lostWithout++;
  const isProven = certified![0] === 1;
  if (isProven) tally.certified++;
  if ((isProven || plan.certificate?.kind === "fallback") && String(Array.from(indices)) !== String(best)) {
    tally.wrong.push(`${where}: ${indices} instead of ${best}`);
  }

  // The same as a device does it: what it certifies is what it would find with the same sums over all rows.
  const { candidates, dropped } = reference.select(x);
  const scores = scoresInF32(plan, weights, x, random);
  const found = sorted(candidates, scores).slice(0, plan.k);
  if (!isAbove(scores[found.at(-1)!]!, boundOf(plan, x, dropped))) return;
  const bestInF32 = sorted([...scores.keys()], scores).slice(0, plan.k);
  if (String(found) !== String(bestInF32)) tally.wrong.push(`${where}, in f32: ${found} instead of ${bestInF32}`);
}

/** Weights and a token for a layer, as an attack makes them. */
export function attackedNumbers(attack: Attack, plan: SoftmaxPlan, random: Random) {
  const weights = new Float32Array(plan.rows * plan.inputs);
  const x = new Float32Array(plan.inputs);
  attack.make({ plan, weights, x }, random);
  for (let i = 0; i < weights.length; i++) weights[i] = roundTo(weights[i]!, plan.dtype);
  return { weights, x };
}

function packed(plan: SoftmaxPlan, weights: Float32Array, sabotage: Sabotage) {
  const { rows, inputs, dtype } = plan;
  const tensors = packLayer(plan, { rows, inputs, dtype, bytes: encode(weights, dtype) });
  return ({ name, role }: TensorPlan) => {
    const { data } = tensors.find((tensor) => tensor.name === name)!;
    return role === "bounds" ? sabotaged(data, sabotage) : data;
  };
}

/** Bounds of rows that say too little. */
function sabotaged(data: Uint8Array, sabotage: Sabotage): Uint8Array {
  const bounds = new Float32Array(data.slice().buffer);
  for (let i = 0; i < bounds.length; i += 2) {
    if (bounds[i]! < 0) continue;
    if (sabotage === "row errors") bounds[i]! *= 0.5;
    if (sabotage === "token errors") bounds[i + 1] = 0;
  }
  return new Uint8Array(bounds.buffer);
}

function withoutRounding(plan: SoftmaxPlan): SoftmaxPlan {
  const { kind } = plan.certificate!;
  return { ...plan, certificate: { kind, slack: { rounding: 0, growth: 1, norm: 1 } } };
}

async function withoutCertificate(layer: Layer, weights: Float32Array, x: Float32Array): Promise<number[]> {
  const plan = planOf({ ...layer, certify: "off" });
  const { indices } = await (await createReferenceSoftmax("head", plan, packed(plan, weights, "none"))).run(x);
  return Array.from(indices);
}

/** Scores as some device may compute them: in any order, with or without subnormal numbers. */
function scoresInF32(
  { rows, inputs }: SoftmaxPlan,
  weights: Float32Array,
  x: Float32Array,
  random: Random,
): Float64Array {
  const flushes = random() < 0.5;
  const settle = (value: number) => (flushes && Math.abs(value) < 2 ** -126 ? 0 : value);
  const order = permutation(random, inputs);
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (const i of order) {
      const product = Math.fround(settle(weights[row * inputs + i]!) * settle(x[i]!));
      sum = settle(Math.fround(sum + settle(product)));
    }
    return sum;
  });
}

export function summary(tallies: readonly Tally[]): string {
  const line = (cells: readonly (string | number)[]) =>
    `${String(cells[0]).padEnd(36)}${cells
      .slice(1)
      .map((cell) => String(cell).padStart(14))
      .join("")}`;
  return [
    line(["attack", "layers", "lost without", "certified", "wrong claims"]),
    ...tallies.map((each) => line([each.name, each.layers, each.lostWithout, each.certified, each.wrong.length])),
  ].join("\n");
}
