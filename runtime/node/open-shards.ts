// A model over shards: under mpirun one of them, each process its own; else all of them, one after the other on one device.

import { createHash } from "node:crypto";
import { agree } from "../collective/agree.ts";
import type { Collective } from "../collective/collective.ts";
import { loadShard, type ShardedLayer } from "../collective/load-shard.ts";
import { localCollectives } from "../collective/local.ts";
import { openMpi } from "../collective/mpi.ts";
import { mpiLaunch } from "../collective/mpi-launch.ts";
import { gatherGroups } from "../collective/sharded-ffn.ts";
import type { CompiledCuda } from "../cuda/model.ts";
import type { LayerResult } from "../layer.ts";
import { requireLayer } from "../model.ts";
import type { Plan } from "../plan.ts";
import { shardPlan } from "../shard-plan.ts";
import { VERSION } from "../version.ts";
import { type Backend, onBackend } from "./backend.ts";
import type { OpenLayers, OpenOptions, RunnableLayer } from "./open-layers.ts";
import { openPack } from "./pack-file.ts";
import { shardPackPath } from "./shard-packs.ts";

/**
 * Loads the shards of a model that belong to this process, and the layers that are whole.
 * @param options.pack without the numbers of shards, as `packAll` was given it.
 * @throws HireError of the families HIRE-PACK and HIRE-RUN.
 */
export async function openShards(
  compiled: CompiledCuda,
  names: readonly string[],
  options: OpenOptions,
): Promise<OpenLayers> {
  const { count } = compiled.plan.shards!;
  const collectives = mpiLaunch() ? [await openMpi()] : localCollectives(count);
  const closeAll = async () => void (await Promise.all(collectives.map((each) => each.close())));
  try {
    return await onBackend(compiled, options, async (backend) => {
      const shards = await Promise.all(
        collectives.map((collective) => openShard(compiled, names, backend, collective, options)),
      );
      const layers = names.map((name) => [name, sideBySide(shards.map((shard) => shard.layers[name]!))] as const);
      const { profile } = shards[0]!;
      const close = async () => {
        for (const shard of shards) shard.destroy();
        backend.close();
        await closeAll();
      };
      return {
        layers: Object.fromEntries(layers),
        device: backend.device,
        kind: backend.kind,
        ...(backend.kind !== "reference" && { profile }),
        shards: { own: collectives.map(({ rank }) => rank), count, engine: collectives[0]!.engine },
        close,
      };
    });
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

interface OpenShard {
  readonly profile: string;
  readonly layers: Readonly<Record<string, RunnableLayer>>;
  destroy(): void;
}

async function openShard(
  compiled: CompiledCuda,
  names: readonly string[],
  backend: Backend,
  collective: Collective,
  { pack: packPath, monitor }: OpenOptions,
): Promise<OpenShard> {
  const { plan } = compiled;
  const { rank } = collective;
  const shards = plan.shards!.count;
  await agree(collective, { version: VERSION, plan: hashOf(plan), pack: plan.packHash, shards, shard: rank });
  const own = shardPlan(plan, rank);
  const pack = await openPack(shardPackPath(packPath, rank, shards), own);
  try {
    const isSharded = (name: string) => requireLayer(plan, name).sharding !== undefined;
    const loader = backend.loader(compiled, pack.weights);
    const sharded = await loadShard(plan, names.filter(isSharded), loader, collective, { ...(monitor && { monitor }) });
    const wholeNames = names.filter((name) => !isSharded(name));
    const whole =
      wholeNames.length > 0 ? await backend.load({ ...compiled, plan: own }, pack.weights, wholeNames) : undefined;
    const runnable = Object.entries(sharded).map(
      ([name, layer]) => [name, runnableOf(plan, layer, name, collective)] as const,
    );
    return {
      profile: loader.profile,
      layers: { ...whole?.layers, ...Object.fromEntries(runnable) },
      destroy: () => {
        for (const layer of Object.values(sharded)) layer.destroy();
      },
    };
  } finally {
    await pack.close();
  }
}

/** A feed-forward's groups are gathered here, for a file that is to hold those of all shards. */
function runnableOf(plan: Plan, layer: ShardedLayer, name: string, collective: Collective): RunnableLayer {
  if (layer.kind === "softmax") {
    return {
      run: async (x, inputs) => {
        const { resent: _, ...result } = await layer.run(x, inputs);
        return result;
      },
    };
  }
  return {
    run: async (x) => {
      const { output, groups } = await layer.run(x);
      return { output, groups: await gatherGroups(plan, name, groups, x.length / layer.plan.inputs, collective) };
    },
    ...(layer.recall && { recall: layer.recall }),
  };
}

/** All shards of this process take part in a run, and all get the same. */
function sideBySide(shards: readonly RunnableLayer[]): RunnableLayer {
  const { recall } = shards[0]!;
  return {
    ...(recall && { recall }),
    run: async (x, inputs): Promise<LayerResult> => {
      const [first] = await Promise.all(shards.map((shard) => shard.run(x, inputs)));
      return first!;
    },
  };
}

function hashOf(plan: Plan): string {
  return createHash("sha256").update(JSON.stringify(plan)).digest("hex");
}
