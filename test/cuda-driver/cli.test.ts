// The command line on a CUDA card, end to end: what is compiled ahead, packed and run gives what the reference gives.

import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors, writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import { root, runProgram } from "../package/install.ts";
import { cardEnvironment, missing } from "./card.ts";
import { makeToolkit, type Toolkit } from "./toolkit.ts";

const cli = join(root, "dist/compiler/cli/main.js");

const SPEC = `import { defineModel, dense, ffn, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({ inputs: 32, rows: 200, dtype: "f32", weight: "w", estimator: dense(), k: 4, mask: true, batch: 2 }),
  mlp: ffn({
    inputs: 32, hidden: 64, dtype: "f32", gated: false, weights: { up: "up", down: "down" }, k: 2, batch: 2,
    activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 8 }),
  }),
});
`;

describe.skipIf(missing)(`hirec on CUDA${missing ? `, skipped: ${missing}` : ""}`, () => {
  let folder: string;
  let toolkit: Toolkit;
  let card: Record<string, string>;

  /** Runs the command line with a card, or as the environment says. */
  const hirec = (args: readonly string[], environment: Record<string, string> = card) =>
    runProgram(process.execPath, [cli, ...args], folder, { ...process.env, ...environment });
  const withToolkit = () => ({ ...card, PATH: `${toolkit.bin}:${process.env.PATH}` });
  const nothing = () => ({ HIREC_LIBCUDA: "/none/libcuda.so.1", HIREC_LIBNVRTC: "/none/libnvrtc.so", PATH: folder });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-cuda-cli-"));
    card = await cardEnvironment();
    toolkit = await makeToolkit(folder);
    await writeFile(join(folder, "small.hire.ts"), SPEC);
    const whole = (rows: number, columns: number, name: string) => ({
      name,
      dtype: "F32" as const,
      shape: [rows, columns],
      bytes: () =>
        new Uint8Array(Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 15) - 7).buffer),
    });
    const mask = {
      name: "head.mask",
      dtype: "U8" as const,
      shape: [200],
      bytes: () => new Uint8Array(200).fill(1, 100),
    };
    await writeSafetensors(
      join(folder, "w.safetensors"),
      [whole(200, 32, "w"), whole(64, 32, "up"), whole(32, 64, "down")],
      {},
      "HIRE-RUN-009",
    );
    await writeSafetensors(
      join(folder, "x.safetensors"),
      [whole(5, 32, "head.input"), whole(3, 32, "mlp.input"), mask],
      {},
      "HIRE-RUN-009",
    );
    const compiled = await hirec(["compile", "small.hire.ts", "--target", "wgsl,cuda", "--fatbin"], withToolkit());
    expect(compiled.stderr).toBe("");
    expect(compiled.stdout).toMatch(/ written, 0 unchanged\nimages by nvcc V0\.0\.0: 6 compiled, 0 unchanged \(/);
    expect(await toolkit.calls()).toHaveLength(6);
    expect((await hirec(["pack", "generated/small", "--weights", "w.safetensors", "--out", "pack"])).code).toBe(0);
  }, 120_000);
  afterAll(() => rm(folder, { recursive: true }));

  const run = (module: string, device: string, environment?: Record<string, string>) =>
    hirec(
      [
        "run",
        module,
        "--weights",
        "pack",
        "--input",
        "x.safetensors",
        "--output",
        `${device}.out`,
        "--device",
        device,
        "--json",
      ],
      environment,
    );

  async function outputOf(device: string) {
    const file = await openSafetensors(join(folder, `${device}.out`));
    const tensors: Record<string, string> = {};
    for (const [name, tensor] of file.tensors)
      tensors[name] = `${tensor.dtype} [${tensor.shape}] ${Buffer.from(await file.read(tensor)).toString("base64")}`;
    await file.close();
    return tensors;
  }

  test("run --device cuda and auto give what the reference gives, with images and no compiler", async () => {
    expect((await run("generated/small", "reference")).code).toBe(0);
    const wanted = await outputOf("reference");
    expect(Object.keys(wanted).sort()).toEqual(["head.indices", "head.values", "mlp.groups", "mlp.output"]);
    for (const device of ["cuda", "auto"]) {
      const { code, stdout } = await run("generated/small", device, { ...card, HIREC_LIBNVRTC: "/none", PATH: folder });
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        ok: true,
        kind: "hardware",
        device: "CUDA on the CPU 0 (CUDA 13.0)",
        profile: "cuda-sm90",
      });
      expect(await outputOf(device)).toEqual(wanted);
    }
  });

  test("a spec is compiled in memory, for CUDA too", async () => {
    const { code, stdout } = await run("small.hire.ts", "cuda");
    expect(code).toBe(0);
    expect(JSON.parse(stdout).profile).toBe("cuda-sm90");
  });

  test("without a driver, and where nothing can compile, cuda ends with 3 and auto goes on without it", async () => {
    await cp(join(folder, "generated/small"), join(folder, "bare"), { recursive: true });
    await rm(join(folder, "bare/cuda/images.json"));
    const bare = { ...card, XDG_CACHE_HOME: "", HOME: folder, TMPDIR: folder, HIREC_LIBNVRTC: "/none", PATH: folder };
    for (const [module, environment, reason] of [
      ["generated/small", nothing(), "HIRE-RUN-001"],
      ["bare", bare, "HIRE-RUN-011"],
    ] as const) {
      const { code, stdout } = await run(module, "cuda", environment);
      expect(code).toBe(3);
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, diagnostics: [{ code: reason }] });
    }
    const { stdout } = await run("bare", "auto", bare);
    expect(JSON.parse(stdout).profile).toMatch(/^webgpu/);
  });
});
