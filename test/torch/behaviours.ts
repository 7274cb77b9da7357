// What the tests of what packages do besides computing layers have in common: the functions of a script, and random weights.

import { readFile } from "node:fs/promises";
import type { WeightSource } from "../../runtime/layer.ts";
import { packWeights, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import type { Plan } from "../../runtime/plan.ts";
import { encode } from "../cases/dtypes.ts";
import { mulberry32 } from "../cases/random.ts";
import type { Torch } from "./python.ts";

/** The names of the functions that a script of this folder runs with either torch. */
export async function functionsOf(script: string): Promise<Readonly<Record<Torch, readonly string[]>>> {
  const text = await readFile(new URL(script, import.meta.url), "utf8");
  const real = [...text.matchAll(/^def ((?:real_)?test_\w+)/gm)].map(([, name]) => name!);
  return { real, fake: real.filter((name) => name.startsWith("test_")) };
}

/** Weights in -0.5 to 0.5 of every layer, as `packWeights` takes them. */
export function randomWeights({ layers }: Plan): Readonly<Record<string, Parameters<typeof packWeights>[1]>> {
  const random = mulberry32(1);
  const ofLayers = Object.entries(layers).map(([name, layer]) => {
    const bytes = weightTensors(layer).map(({ role, shape }) => {
      const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() - 0.5);
      return [role, encode(numbers, layer.dtype)] as const;
    });
    return [name, Object.fromEntries(bytes)] as const;
  });
  return Object.fromEntries(ofLayers);
}

/** The tensors of a pack, of a plan or of what one shard has of it. */
export function packedOf({ layers }: Plan, weights: ReturnType<typeof randomWeights>): WeightSource {
  const tensors = Object.entries(layers).flatMap(([name, layer]) => packWeights(layer, weights[name]!));
  return ({ name }) => tensors.find((each) => each.name === name)!.data;
}
