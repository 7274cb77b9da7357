// A feed-forward over many shards (DA-TOP-k): each selects and adds up groups of its own, and the sums are added up. Nothing
// is exchanged before that, so what all select together may differ from what one device would select.

import { NO_ROW, tokenCount } from "../layer.ts";
import { type FloatFfnResult, ffnResult } from "../layer-data.ts";
import type { FfnPlan, Plan } from "../plan.ts";
import { globalRow } from "../shard-rows.ts";
import type { Collective } from "./collective.ts";
import type { RawLayer } from "./raw-layer.ts";
import type { MeasuredRecall, RecallMonitor } from "./recall-monitor.ts";

export interface ShardedFfn {
  readonly kind: "ffn";
  /** Of the whole layer. */
  readonly plan: FfnPlan;
  /**
   * Runs any number of tokens; every shard calls it with the same, and gets the same output.
   * @param x `[tokens, inputs]`.
   * @returns the sum over all shards, and the groups that this shard selected, numbered among all, `[tokens, k of the shard]`.
   */
  run(x: Float32Array): Promise<FloatFfnResult>;
  /** What the monitor has measured so far, the same on every rank; absent when none was asked for. */
  readonly recall?: () => MeasuredRecall;
  destroy(): void;
}

/**
 * @param own the shard's part, absent when it has no groups; with a monitor it gives its candidates besides.
 */
export function createShardedFfn(
  name: string,
  plan: FfnPlan,
  own: { readonly plan: FfnPlan; readonly layer: RawLayer } | undefined,
  collective: Collective,
  monitor?: RecallMonitor,
): ShardedFfn {
  const run = async (x: Float32Array): Promise<FloatFfnResult> => {
    const tokens = tokenCount(name, plan, x);
    const sampled = monitor?.sample(tokens) ?? [];
    const outputs = await own?.layer.run({ x });
    const part = outputs
      ? ffnResult(outputs)
      : { output: new Float32Array(tokens * plan.outputs), groups: new Uint32Array() };
    const output = await collective.allReduceSum(part.output, `adding up layer "${name}"`);
    await monitor?.measure(sampled, outputs?.chosen);
    return { output, groups: own ? numberedAmongAll(part.groups, own.plan, collective.rank) : part.groups };
  };
  return {
    kind: "ffn",
    plan,
    run,
    ...(monitor && { recall: () => monitor.recall }),
    destroy: () => own?.layer.destroy(),
  };
}

/** @param own the shard's part. @param groups as it numbers them. */
export function numberedAmongAll(groups: Uint32Array, { shard }: FfnPlan, rank: number): Uint32Array {
  return groups.map((group) =>
    group === NO_ROW ? NO_ROW : globalRow(group, shard!.choices, { ...shard!, index: rank }),
  );
}

/**
 * The groups that all shards selected, shard by shard, for whoever wants to know them: the result does not need it.
 * @param own `[tokens, k of the shard]`.
 * @returns `[tokens, k of all shards together]`.
 */
export async function gatherGroups(
  { shards }: Plan,
  name: string,
  own: Uint32Array,
  tokens: number,
  collective: Collective,
): Promise<Uint32Array> {
  const counts = shards!.shards.map(({ part }) => shards!.parts[part]!.layers[name]?.k ?? 0);
  const most = Math.max(...counts);
  const all = counts.reduce((sum, each) => sum + each, 0);
  // Every shard gives as many.
  const padded = new Uint32Array(tokens * most).fill(NO_ROW);
  const ofShard = counts[collective.rank]!;
  for (let token = 0; token < tokens; token++) {
    padded.set(own.subarray(token * ofShard, (token + 1) * ofShard), token * most);
  }
  const bytes = await collective.allGather(bytesOf(padded), `gathering groups of layer "${name}"`);
  const gathered = new Uint32Array(bytes.slice().buffer);
  const groups = new Uint32Array(tokens * all);
  for (let token = 0; token < tokens; token++) {
    let at = token * all;
    counts.forEach((each, shard) => {
      const from = (shard * tokens + token) * most;
      groups.set(gathered.subarray(from, from + each), at);
      at += each;
    });
  }
  return groups;
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
