// What is wrong about shards when a model is compiled, packed or loaded.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, ffn, softmax } from "../../../dsl/index.ts";
import { loadShard } from "../../../runtime/collective/load-shard.ts";
import { localCollectives } from "../../../runtime/collective/local.ts";
import { requestNullDevice } from "../../../runtime/node/device.ts";
import { openLayers } from "../../../runtime/node/open-layers.ts";
import { packAll } from "../../../runtime/node/shard-packs.ts";
import { referenceLoader } from "../../../runtime/reference/shards.ts";
import { shardPlan } from "../../../runtime/shard-plan.ts";
import { loadModel } from "../../../runtime/webgpu/model.ts";
import { failureOf } from "./failure.ts";

const layer = { inputs: 64, rows: 256, weight: "lm_head", estimator: dense(), k: 4 };
const model = defineModel("tiny", { head: softmax({ ...layer, shards: 4 }) });
const { plan, files } = compileModel(model);
const compiled = { plan, sources: Object.fromEntries(files) };
const whole = compileModel(defineModel("tiny", { head: softmax(layer) })).plan;

const problemOf = async (work: () => unknown) => (await failureOf(work)).diagnostics[0];

test("HIRE-RUN-020 for a shard that there is none of, and nothing is written", async () => {
  expect(await problemOf(() => shardPlan(plan, 4))).toMatchObject({
    code: "HIRE-RUN-020",
    message: '"tiny" has no shard 4: it has 4, counted from 0',
  });
  expect(await problemOf(() => shardPlan(whole, 0))).toMatchObject({ code: "HIRE-RUN-020" });
  const folder = await mkdtemp(join(tmpdir(), "hirec-shards-"));
  for (const shard of [-1, 4, 0.5]) {
    const pack = () => packAll(plan, ["none.safetensors"], join(folder, "tiny.pack"), { shard });
    expect(await problemOf(pack)).toMatchObject({ code: "HIRE-RUN-020" });
  }
  expect(await readdir(folder)).toEqual([]);
  await rm(folder, { recursive: true });
});

test("HIRE-RUN-020 for another number of participants", async () => {
  const [first] = localCollectives(2);
  const load = () =>
    loadShard(
      plan,
      ["head"],
      referenceLoader(plan, () => new Uint8Array()),
      first!,
    );
  expect(await problemOf(load)).toMatchObject({
    code: "HIRE-RUN-020",
    message: '"tiny" has 4 shards, but 2 take part (local)',
    fix: "Start 4, such as mpirun -n 4, or compile for 2 shards",
  });
});

test("HIRE-RUN-020 for a layer over shards that is loaded as if it were whole", async () => {
  const { device, close } = await requestNullDevice();
  expect(await problemOf(() => loadModel(device, compiled, () => new Uint8Array()))).toMatchObject({
    code: "HIRE-RUN-020",
    message: 'Layer "head" of "tiny" is spread over 4 shards',
  });
  close();
});

describe("HIRE-RUN-024: recall over shards cannot be measured", () => {
  const mlp = ffn({
    ...{ inputs: 64, hidden: 256, weights: { gate: "g", up: "u", down: "d" }, k: 4, shards: 2 },
    ...{ activation: (z: number) => Math.max(z, 0), estimator: dense() },
  });
  const { plan: sparse } = compileModel(defineModel("tiny", { head: softmax({ ...layer, shards: 2 }), mlp }));
  const load = (names: readonly string[], every: number) => () =>
    loadShard(
      sparse,
      names,
      referenceLoader(sparse, () => new Uint8Array()),
      localCollectives(2)[0]!,
      { monitor: { every } },
    );

  test.each([0, -1, 1.5, Number.NaN])("on every %d-th token", async (every) => {
    expect(await problemOf(load(["mlp"], every))).toMatchObject({
      code: "HIRE-RUN-024",
      message: `Recall cannot be measured on every ${every}-th token`,
    });
  });

  test("of heads, and of layers that are whole", async () => {
    expect(await problemOf(load(["head"], 1))).toMatchObject({ code: "HIRE-RUN-024" });
    const options = { pack: "none.pack", device: "reference", monitor: { every: 1 } } as const;
    const open = () => openLayers({ plan: whole, sources: {} }, ["head"], options);
    expect(await problemOf(open)).toMatchObject({
      code: "HIRE-RUN-024",
      message: 'Recall over shards cannot be measured: none of "head" is a feed-forward over shards',
    });
  });
});
