// Every case of the tables on a real card, through the driver and the compiler that are installed here.

import { afterAll, describe, expect, test } from "vitest";
import { runOnCuda } from "../../compiler/cli/doctor/cuda.ts";
import { prepareTrial } from "../../compiler/cli/doctor/trial.ts";
import { type CudaDevice, requestCudaDevice } from "../../runtime/cuda/device.ts";
import { loadNccl } from "../../runtime/cuda/libnccl.ts";
import { loadCudaModel } from "../../runtime/cuda/model.ts";
import { ncclCollective } from "../../runtime/cuda/nccl.ts";
import type { CudaStream } from "../../runtime/cuda/stream.ts";
import { makeChain } from "../cuda-driver/chain.ts";
import { allCases } from "../cuda-driver/on-device.ts";
import { trialInFloats } from "../cuda-driver/trial.ts";

const opened = await requestCudaDevice().catch((thrown: Error) => thrown.message.split("\n")[0]!);
const nccl = await loadNccl().catch((thrown: Error) => thrown.message.split("\n")[0]!);
const ncclMissing = typeof nccl === "string" ? nccl : undefined;
const missing = typeof opened === "string" ? opened : undefined;

describe.skipIf(missing)(`CUDA on a GPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  const device = opened as CudaDevice;
  // To compile the table takes a while, and is for nothing where there is no card.
  const cases = missing ? [] : allCases();

  afterAll(() => device.close());

  test("doctor's trial runs", async () => {
    expect(await runOnCuda(await prepareTrial())).toContain(device.name);
  });

  test("a captured chain gives the bits of its layers, again and again", async () => {
    const trial = await trialInFloats();
    const model = await loadCudaModel(device, trial.compiled, trial.weights);
    const chain = makeChain(device, model);
    const graph = device.capture(chain.encode);
    const stream = device.createStream();
    for (const x of [trial.x, trial.x.map((value) => -value), trial.x]) {
      await chain.x.write(x);
      graph.launch(stream);
      await stream.finished();
      expect(await chain.read()).toEqual(await chain.expected(x));
    }
    graph.destroy();
    stream.destroy();
    chain.destroy();
    model.destroy();
  });

  test.skipIf(ncclMissing)(
    `NCCL of one rank, by itself and in a graph${ncclMissing ? `, skipped: ${ncclMissing}` : ""}`,
    async () => {
      const alone = await ncclCollective(device);
      const given = device.allocate("f32", 1024);
      const taken = device.allocate("f32", 1024);
      const encode = (stream: CudaStream) => {
        alone.allGather(stream, given.pointer, taken.pointer, 4096, "gathering");
        alone.allReduceSum(stream, taken.pointer, 1024, "adding up");
      };
      const graph = device.capture(encode);
      for (const put of [encode, graph.launch, graph.launch]) {
        const values = Float32Array.from({ length: 1024 }, () => Math.random());
        await given.write(values);
        put(device.stream);
        await alone.finished(device.stream);
        expect(await taken.read()).toEqual(values);
      }
      graph.destroy();
      await alone.close();
      for (const buffer of [given, taken]) buffer.destroy();
    },
  );

  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, each) => {
    expect(await each.problems(device)).toEqual([]);
  });
});
