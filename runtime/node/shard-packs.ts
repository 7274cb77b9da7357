// One pack per shard, since a process reads only its own.

import type { Plan } from "../plan.ts";
import { shardPlan } from "../shard-plan.ts";
import { type PackOptions, type PackSummary, packModel } from "./pack-file.ts";

/** `head.pack` becomes `head.pack.0-of-4`. */
export function shardPackPath(path: string, index: number, count: number): string {
  return `${path}.${index}-of-${count}`;
}

/** Of a model without shards the pack itself. */
export interface PackedFile extends PackSummary {
  readonly path: string;
}

/**
 * Packs a model: into one file, or one for each shard.
 * @param options.shard packs only this one.
 * @throws HireError of `packModel` and HIRE-RUN-020 when there is no such shard; files of earlier shards stay then.
 */
export async function packAll(
  plan: Plan,
  weightPaths: readonly string[],
  out: string,
  { shard, onProgress, ...options }: PackOptions & { readonly shard?: number } = {},
): Promise<PackedFile[]> {
  if (!plan.shards && shard === undefined) {
    return [
      { path: out, ...(await packModel(plan, weightPaths, out, { ...options, ...(onProgress && { onProgress }) })) },
    ];
  }
  const count = plan.shards?.count ?? 0;
  const indices = shard === undefined ? Array.from({ length: count }, (_, index) => index) : [shard];
  const plans = indices.map((index) => shardPlan(plan, index));
  const rows = plans.map(({ layers }) => Object.values(layers).reduce((sum, layer) => sum + layer.rows, 0));
  const total = rows.reduce((sum, each) => sum + each, 0);
  const packed: PackedFile[] = [];
  let before = 0;
  for (const [i, index] of indices.entries()) {
    const path = shardPackPath(out, index, count);
    const report = onProgress && { onProgress: (done: number) => onProgress(before + done, total) };
    packed.push({ path, ...(await packModel(plans[i]!, weightPaths, path, { ...options, ...report })) });
    before += rows[i]!;
  }
  return packed;
}
