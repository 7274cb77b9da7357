// An output head over many shards (DA-TOP-k): each finds its best rows, all exchange them, and each merges the same rows to
// the same result. Where a shard may have more to say, a second exchange follows, of those tokens alone.

import { checkInputs, type SoftmaxInputs } from "../inputs.ts";
import { tokenCount } from "../layer.ts";
import { type FloatSoftmaxResult, softmaxInputs } from "../layer-data.ts";
import type { ShardingPlan, SoftmaxPlan } from "../plan.ts";
import { globalRow, shardChoices } from "../shard-rows.ts";
import type { Collective } from "./collective.ts";
import { maskOf, mergedOf, openShardsOf, range, replaceTokens, tokensOfInput } from "./merged.ts";
import { emptyPairs, launchByLaunch, NO_KEY, PAIR_WORDS, type Pairs, tokensOf, withPlaces } from "./pairs.ts";
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
  /** Of all shards, `[shards, tokens, places]`. */
  const gather = async (pairs: Pairs, doing: string): Promise<Pairs> => {
    const { buffer, byteOffset, byteLength } = pairs.words;
    const bytes = await collective.allGather(
      new Uint8Array(buffer, byteOffset, byteLength),
      `${doing} layer "${name}"`,
    );
    return withPlaces({ places: pairs.places, words: new Uint32Array(bytes.slice().buffer) }, 1 + offered);
  };
  const mergeAll = async (gathered: Pairs, tokens: number, uniforms?: Float32Array) => {
    const { buffer, length } = launchByLaunch(gathered, count, plan.batch);
    const ofLaunches = uniforms && new Float32Array(Math.ceil(tokens / plan.batch) * plan.batch);
    ofLaunches?.set(uniforms!);
    const outputs = await merge.run({
      // As the bits that they are: buffers know no types.
      x: new Float32Array(buffer, 0, length),
      ...(ofLaunches && { uniforms: ofLaunches }),
    });
    return mergedOf(outputs, plan, tokens);
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
    const merged = await mergeAll(first, tokens, inputs.uniforms);
    const { open: _, ...result } = merged;
    const recomputes = plan.certificate?.kind === "fallback";
    const open = range(tokens).map((token) => openShardsOf(merged, count, token));
    const certified = plan.certificate && Uint8Array.from(open, (shards) => Number(!shards.includes(true)));
    const needed = range(tokens).filter(
      (token) => (recomputes && open[token]!.includes(true)) || hasMore(plan, first, result.indices, token),
    );
    if (needed.length === 0) return { ...result, ...(certified && { certified }), resent: 0 };

    const asked = needed.map((token) => Number(recomputes && open[token]![rank]));
    const again = tokensOf(pairs, needed);
    if (asked.includes(1)) {
      // The others of these tokens stay what they are; a launch has to be made of something.
      const redone = await ownPairs(tokensOfInput(x, plan.inputs, needed), Uint32Array.from(asked));
      asked.forEach((flag, i) => {
        const each = again.places * PAIR_WORDS;
        if (flag) again.words.set(redone.words.subarray(i * each, (i + 1) * each), i * each);
      });
    }
    const uniforms = inputs.uniforms && Float32Array.from(needed, (token) => inputs.uniforms![token]!);
    const all = await gather(again, "exchanging more rows of");
    const second = await mergeAll(all, needed.length, uniforms);
    replaceTokens(merged, needed, second, plan.k);
    needed.forEach((token, i) => {
      // More rows may prove what fewer could not; what was recomputed was not proven.
      if (certified && !(recomputes && open[token]!.includes(true))) {
        certified[token] = Number(!openShardsOf(second, count, i).includes(true));
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
  const tokens = indices.length / plan.k;
  return range(count).some((index) => {
    const at = ((index * tokens + token) * (1 + offered) + sent) * PAIR_WORDS;
    if (words[at] === NO_KEY || shardChoices(plan.rows, { count, layout, index }) <= sent) return false;
    return results.has(globalRow(words[at + 1]!, plan.rows, { count, layout, index }));
  });
}
