// Shards of a layer, and the merge of what they send, in float64: for `--device reference`, and what kernels are held against.
// Values become f32 when they are sent, as the exchange has them.

import { emptyPairs, PAIR_WORDS } from "../collective/pairs.ts";
import type { RawLayer, RawLoader } from "../collective/raw-layer.ts";
import { NO_ROW, type WeightSource } from "../layer.ts";
import type { FfnPlan, LayerPlan, Plan, SoftmaxPlan } from "../plan.ts";
import { evaluateScalar } from "../scalar.ts";
import { globalRow } from "../shard-rows.ts";
import { boundOf } from "./certificate.ts";
import { createReferenceFfn } from "./ffn.ts";
import { better, settled, sortRows } from "./order.ts";
import { drawnRank } from "./sampling.ts";
import { createReferenceSoftmax } from "./softmax.ts";

/** @param weights of the shard's pack. */
export function referenceLoader({ programs }: Plan, weights: WeightSource): RawLoader {
  return { profile: programs[0]!.profile, load: (name, plan) => loadReference(name, plan, weights) };
}

async function loadReference(name: string, plan: LayerPlan, weights: WeightSource): Promise<RawLayer> {
  if (plan.kind === "ffn") return ffnShard(name, plan, weights);
  return plan.sharding ? mergeOf(plan) : headShard(name, plan, weights);
}

async function ffnShard(name: string, plan: FfnPlan, weights: WeightSource): Promise<RawLayer> {
  const { run, select, exactScores } = await createReferenceFfn(name, plan, weights);
  const { inputs, candidates } = plan;
  return {
    run: async ({ x }) => {
      const { output, groups } = await run(x);
      const { words: chosen } = emptyPairs(x.length / inputs, candidates);
      for (let token = 0; token < x.length / inputs; token++) {
        const one = x.subarray(token * inputs, (token + 1) * inputs);
        const found = select(one).candidates;
        const scores = exactScores(one, found);
        const pairs = found.flatMap((group) => [keyOf(scores[group]!), group]);
        chosen.set(pairs, token * candidates * PAIR_WORDS);
      }
      return {
        output: Float32Array.from(output).buffer,
        groups: groups.slice().buffer as ArrayBuffer,
        chosen: chosen.buffer as ArrayBuffer,
      };
    },
    destroy: () => {},
  };
}

async function headShard(name: string, plan: SoftmaxPlan, weights: WeightSource): Promise<RawLayer> {
  const { select, exactScores } = await createReferenceSoftmax(name, plan, weights);
  const { inputs, rows, k } = plan;
  return {
    run: async ({ x, mask, again }) => {
      const tokens = x.length / inputs;
      const pairs = new Uint32Array(tokens * (1 + k) * 2);
      const allowed = mask && Uint8Array.from({ length: rows }, (_, row) => (mask[row >> 5]! >>> (row & 31)) & 1);
      for (let token = 0; token < tokens; token++) {
        const one = x.subarray(token * inputs, (token + 1) * inputs);
        const { candidates, dropped } = select(one, allowed);
        const isWhole = again?.[token] === 1;
        const scores = exactScores(one);
        const all = isWhole ? [...scores.keys()].filter((row) => allowed?.[row] !== 0) : [...candidates];
        const bound = isWhole || !plan.certificate ? undefined : boundOf(plan, one, dropped);
        const best = sortRows(all, scores).slice(0, k);
        const sent = [
          bound === undefined ? [0, 0] : [keyOf(bound), 0],
          ...best.map((row) => [keyOf(scores[row]!), row]),
        ];
        while (sent.length < 1 + k) sent.push([0, NO_ROW]);
        pairs.set(sent.flat(), token * (1 + k) * 2);
      }
      return { pairs: pairs.buffer };
    },
    destroy: () => {},
  };
}

function mergeOf(plan: SoftmaxPlan): RawLayer {
  const { batch, k, transform, temperature = 1, sharding, rows } = plan;
  const { count, layout, offered } = sharding!;
  const change = transform ? evaluateScalar(transform) : (score: number) => score;
  const finalValue = (score: number) => (Number.isNaN(score) ? score : settled(change(settled(score)) / temperature));
  return {
    run: async ({ x, uniforms }) => {
      const words = new Uint32Array(x.buffer, x.byteOffset, x.length);
      const tokens = words.length / (count * (1 + offered) * 2);
      const indices = new Uint32Array(tokens * k).fill(NO_ROW);
      const values = new Float64Array(tokens * k).fill(Number.NEGATIVE_INFINITY);
      const open = new Uint32Array(tokens * count);
      const sampled = new Uint32Array(tokens);
      for (let token = 0; token < tokens; token++) {
        // Launch by launch, and in each shard by shard.
        const before = Math.floor(token / batch) * count * batch + (token % batch);
        const at = (shard: number, place: number) => ((before + shard * batch) * (1 + offered) + place) * 2;
        const all = [];
        for (let index = 0; index < count; index++) {
          for (let place = 1; place <= offered; place++) {
            const [key, row] = words.subarray(at(index, place), at(index, place) + 2);
            if (key !== 0) all.push({ value: scoreOf(key!), row: globalRow(row!, rows, { count, layout, index }) });
          }
        }
        const best = all.sort((a, b) => (better(a.value, a.row, b.value, b.row) ? -1 : 1)).slice(0, k);
        best.forEach(({ value, row }, rank) => {
          indices[token * k + rank] = row;
          values[token * k + rank] = finalValue(value);
        });
        const kth = best[k - 1];
        for (let index = 0; index < count; index++) {
          const key = words[at(index, 0)]!;
          const isBelow = key === 0 || (kth !== undefined && better(kth.value, 1, scoreOf(key), 0));
          open[token * count + index] = isBelow ? 0 : 1;
        }
        const results = values.subarray(token * k, (token + 1) * k);
        sampled[token] = indices[token * k + drawnRank(plan, results, uniforms?.[token] ?? 0)]!;
      }
      return {
        indices: indices.buffer,
        values: Float32Array.from(values).buffer,
        open: open.buffer,
        ...(plan.sampler && { sampled: sampled.buffer }),
      };
    },
    destroy: () => {},
  };
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The key of the f32 nearest to a value. */
function keyOf(value: number): number {
  float[0] = settled(value);
  if (Number.isNaN(value)) return 0xffff_ffff;
  // Adding 0 makes +0 of -0.
  float[0] += 0;
  return bits[0]! >>> 31 === 1 ? ~bits[0]! >>> 0 : (bits[0]! | 0x8000_0000) >>> 0;
}

/** The f32 that a key was made from. */
function scoreOf(key: number): number {
  bits[0] = key >>> 31 === 1 ? key & 0x7fff_ffff : ~key;
  return float[0]!;
}
