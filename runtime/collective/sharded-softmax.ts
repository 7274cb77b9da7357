// An output head over many shards (DA-TOP-k): each finds its best rows, all exchange them, and each merges the same rows to
// the same result. Where a shard may have more to say, a second exchange follows, of those tokens alone.

import { checkInputs, type SoftmaxInputs } from "../inputs.ts";
import { tokenCount } from "../layer.ts";
import { type FloatSoftmaxResult, softmaxInputs, softmaxResult } from "../layer-data.ts";
import type { ShardingPlan, SoftmaxPlan } from "../plan.ts";
import { globalRow, shardChoices } from "../shard-rows.ts";
import type { Collective } from "./collective.ts";
import { emptyPairs, NO_KEY, PAIR_WORDS, type Pairs, tokenByToken, tokensOf, withPlaces } from "./pairs.ts";
import type { RawLayer } from "./raw-layer.ts";

export interface ShardedSoftmax {
  readonly kind: "softmax";
  readonly plan: SoftmaxPlan;
  /**
   * Runs any number of tokens; every shard calls it with the same, and gets the same.
   * @param x `[tokens, inputs]`.
   * @throws HireError as the layer on one device does, and whatever the collective throws.
   */
  run(x: Float32Array, inputs?: SoftmaxInputs): Promise<ShardedResult>;
  destroy(): void;
}

export interface ShardedResult extends FloatSoftmaxResult {
  /** Tokens for which a second exchange was needed. */
  readonly resent: number;
}

/** What one shard runs: its part, absent when it has no rows, and the merge. */
export interface ShardLayers {
  readonly own?: { readonly plan: SoftmaxPlan; readonly layer: RawLayer };
  readonly merge: RawLayer;
}

/** @param plan of the whole layer. */
export function createShardedSoftmax(
  name: string,
  plan: SoftmaxPlan,
  { own, merge }: ShardLayers,
  collective: Collective,
): ShardedSoftmax {
  const sharding = plan.sharding!;
  const { count, sent, offered } = sharding;
  const { rank } = collective;
  const gather = async (pairs: Pairs, doing: string) => {
    const { buffer, byteOffset, byteLength } = pairs.words;
    const bytes = await collective.allGather(
      new Uint8Array(buffer, byteOffset, byteLength),
      `${doing} layer "${name}"`,
    );
    return tokenByToken(new Uint32Array(bytes.slice().buffer), count, pairs.places, 1 + offered);
  };
  const mergeAll = async ({ words }: Pairs, uniforms?: Float32Array) => {
    const outputs = await merge.run({
      // As the bits that they are: buffers know no types.
      x: new Float32Array(words.buffer, words.byteOffset, words.length),
      ...(uniforms && { uniforms }),
    });
    return { ...softmaxResult(outputs), open: new Uint32Array(outputs.open!) };
  };

  const run = async (x: Float32Array, inputs: SoftmaxInputs = {}): Promise<ShardedResult> => {
    const tokens = tokenCount(name, plan, x);
    checkInputs(name, plan, tokens, inputs);
    const ownMask = own && inputs.mask && maskOf(inputs.mask, own.plan, rank);
    const ownPairs = async (of: Float32Array, again?: Uint32Array): Promise<Pairs> => {
      if (!own) return emptyPairs(of.length / plan.inputs, 1 + offered);
      const taken = softmaxInputs(name, own.plan, of, ownMask ? { mask: ownMask } : {});
      const isAsked = own.plan.certificate?.kind === "fallback";
      const asked = isAsked && { again: again ?? new Uint32Array(of.length / plan.inputs) };
      const { pairs } = await own.layer.run({ ...taken, ...asked });
      return withPlaces({ places: 1 + own.plan.k, words: new Uint32Array(pairs!) }, 1 + offered);
    };

    const pairs = await ownPairs(x);
    const first = await gather(withPlaces(pairs, 1 + sent), "exchanging rows of");
    const { open, ...result } = await mergeAll(first, inputs.uniforms);
    const recomputes = plan.certificate?.kind === "fallback";
    const isOpen = (token: number, shard: number) => open[token * count + shard] === 1;
    const anyOpen = (token: number) => range(count).some((shard) => isOpen(token, shard));
    const certified = plan.certificate && Uint8Array.from(range(tokens), (token) => (anyOpen(token) ? 0 : 1));
    const needed = range(tokens).filter(
      (token) => (recomputes && anyOpen(token)) || hasMore(plan, first, result.indices, token),
    );
    if (needed.length === 0) return { ...result, ...(certified && { certified }), resent: 0 };

    const asked = needed.map((token) => Number(recomputes && isOpen(token, rank)));
    const again = tokensOf(pairs, needed);
    if (asked.includes(1)) {
      // The others of these tokens stay what they are; a launch has to be made of something.
      const redone = await ownPairs(rowsOf(x, plan.inputs, needed), Uint32Array.from(asked));
      asked.forEach((flag, i) => {
        const each = again.places * PAIR_WORDS;
        if (flag) again.words.set(redone.words.subarray(i * each, (i + 1) * each), i * each);
      });
    }
    const uniforms = inputs.uniforms && Float32Array.from(needed, (token) => inputs.uniforms![token]!);
    const second = await mergeAll(await gather(again, "exchanging more rows of"), uniforms);
    needed.forEach((token, i) => {
      const place = (values: Float32Array | Uint32Array, of: Float32Array | Uint32Array, each: number) =>
        values.set(of.subarray(i * each, (i + 1) * each), token * each);
      place(result.indices, second.indices, plan.k);
      place(result.values, second.values, plan.k);
      if (result.sampled) place(result.sampled, second.sampled!, 1);
      // More rows may prove what fewer could not; what was recomputed was not proven.
      if (certified && !(recomputes && anyOpen(token))) {
        certified[token] = range(count).some((shard) => second.open[i * count + shard] === 1) ? 0 : 1;
      }
    });
    return { ...result, ...(certified && { certified }), resent: needed.length };
  };
  const destroy = () => {
    own?.layer.destroy();
    merge.destroy();
  };
  return { kind: "softmax", plan, run, destroy };
}

/** Whether some shard's last sent row is among the results, and rows that it has not sent may be too. */
function hasMore(plan: SoftmaxPlan, { words }: Pairs, indices: Uint32Array, token: number): boolean {
  const { count, sent, offered, layout } = plan.sharding as ShardingPlan;
  if (sent === offered) return false;
  const results = new Set(indices.subarray(token * plan.k, (token + 1) * plan.k));
  return range(count).some((index) => {
    const at = ((token * count + index) * (1 + offered) + sent) * PAIR_WORDS;
    if (words[at] === NO_KEY || shardChoices(plan.rows, { count, layout, index }) <= sent) return false;
    return results.has(globalRow(words[at + 1]!, plan.rows, { count, layout, index }));
  });
}

/** The entries of a mask that are about a shard's rows. */
function maskOf(mask: Uint8Array, { rows, shard }: SoftmaxPlan, index: number): Uint8Array {
  return Uint8Array.from({ length: rows }, (_, row) => mask[globalRow(row, shard!.rows, { ...shard!, index })]!);
}

function rowsOf(x: Float32Array, inputs: number, tokens: readonly number[]): Float32Array {
  const rows = new Float32Array(tokens.length * inputs);
  tokens.forEach((token, i) => void rows.set(x.subarray(token * inputs, (token + 1) * inputs), i * inputs));
  return rows;
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}
