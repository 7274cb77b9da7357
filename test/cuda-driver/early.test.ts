// Which kernels are launched while the one before still runs: those that wait for it by themselves.

import { afterEach, describe, expect, test } from "vitest";
import { requestCudaDevice } from "../../runtime/cuda/device.ts";
import { loadCudaDriver } from "../../runtime/cuda/libcuda.ts";
import { cardEnvironment, missing } from "./card.ts";
import { sectionOfCases } from "./on-device.ts";

const [head, ffn] = ["int8: everything", "ffn: common groups"].map(
  (name) => sectionOfCases().find((each) => each.name === name)!,
);

describe.skipIf(missing)(`early launches${missing ? `, skipped: ${missing}` : ""}`, () => {
  afterEach(() => {
    delete process.env.HIREC_CUDA_ON_CPU_CAPABILITY;
    delete process.env.HIREC_CUDA_EARLY;
  });

  /** How the launches of two layers were asked for. */
  const earlyOf = async (environment: Record<string, string>) => {
    Object.assign(process.env, await cardEnvironment(), environment);
    const driver = await loadCudaDriver();
    const early: boolean[] = [];
    const device = await requestCudaDevice({
      driver: {
        ...driver,
        launch: (...given) => {
          early.push(given[5]);
          driver.launch(...given);
        },
      },
    });
    expect(await head!.problems(device)).toEqual([]);
    expect(await ffn!.problems(device)).toEqual([]);
    device.close();
    expect(early.length).toBeGreaterThan(10);
    return [...new Set(early)];
  };

  test("all are early on a card of 9.0, whose kernels wait", async () => {
    expect(await earlyOf({})).toEqual([true]);
  });

  test("none is on a card before, or where the environment says so", async () => {
    expect(await earlyOf({ HIREC_CUDA_EARLY: "0" })).toEqual([false]);
    delete process.env.HIREC_CUDA_EARLY;
    expect(await earlyOf({ HIREC_CUDA_ON_CPU_CAPABILITY: "8.0" })).toEqual([false]);
  });

  test("every kernel waits before it reads what another wrote", () => {
    for (const { name, source } of sectionOfCases().flatMap(({ compiled }) => compiled.kernels)) {
      const [, body] = source.split('extern "C" __global__');
      const [ahead, behind] = body!.split("griddepcontrol.wait");
      expect(behind, name).toBeDefined();
      // What comes before is where the block is, and a call for weights.
      expect(ahead, name).not.toMatch(/__ldg|atomic|return| = \w+\[/);
      // Of every constant pointer the compiler is told that it is known only then.
      const constants = [...ahead!.matchAll(/const [\w ]+\* __restrict__ (\w+)/g)].map(([, each]) => each);
      const awaited = [...behind!.matchAll(/asm volatile\("" : "\+l"\((\w+)\)\)/g)].map(([, each]) => each);
      expect(awaited, name).toEqual(constants);
    }
  });
});
