// hirec tune on the card that test/cuda-host makes of a CPU: copies in turns, graphs and events as on a real one, and the whole
// command line.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSpec } from "../../compiler/index.ts";
import type { Stopwatch } from "../../compiler/tune/race.ts";
import { randomInputs, randomWeights } from "../../compiler/tune/random-layer.ts";
import { findDifference } from "../../compiler/tune/same-result.ts";
import { tune } from "../../compiler/tune/tune.ts";
import type { TuningFile } from "../../compiler/tuning/file.ts";
import { loadCudaModel } from "../../runtime/cuda/model.ts";
import { HireError } from "../../runtime/errors.ts";
import { readCompiledFolder } from "../../runtime/node/compiled-folder.ts";
import { createReference } from "../../runtime/reference/layer.ts";
import { root, runProgram } from "../package/install.ts";
import { type Card, cardEnvironment, missing, openCard } from "./card.ts";

const cli = join(root, "dist/compiler/cli/main.js");

// A row of the first is one step, which no two threads can share; one of the second is two.
const SPEC = `import { defineModel, dense, quantized, softmax } from "hirec";
export default defineModel("small", {
  narrow: softmax({ inputs: 16, rows: 100, dtype: "f32", weight: "w", estimator: quantized({ bits: 4 }), k: 4 }),
  shared: softmax({ inputs: 8, rows: 300, dtype: "f32", weight: "v", estimator: dense(), k: 4, batch: 2 }),
});
`;

describe.skipIf(missing)(`hirec tune on CUDA${missing ? `, skipped: ${missing}` : ""}`, () => {
  let folder: string;
  let spec: string;
  let card: Card;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-cuda-tune-"));
    spec = join(folder, "small.hire.ts");
    await writeFile(spec, SPEC);
    card = await openCard();
  });
  afterAll(async () => {
    card.device.close();
    await rm(folder, { recursive: true });
  });

  test("tries the combinations of a kernel's knobs, takes the fastest, and frees what it loaded", async () => {
    const { model } = await checkSpec(spec);
    const stopwatch: Stopwatch = async ({ knobs }) =>
      100 + 10 * (knobs.splits ?? 2) + (knobs.residentThreads ?? 512) / 100;
    const before = card.live();
    const { device, profile, layers } = await tune(model, { device: "cuda", layer: "shared", stopwatch });
    expect(card.live(), "what was not freed").toBe(before);
    expect(device).toBe("CUDA on the CPU 0 (CUDA 13.0)");
    expect(profile).toBe("cuda-sm90");
    const { knobs, measured, reason } = layers.shared!;
    expect(knobs).toEqual({ splits: 1, residentThreads: 256 });
    expect(reason).toBe("splits 1, residentThreads 256: 113 µs, by default 125 µs, 10.0 % less; noise is 0.00 µs");
    // 2 · 4 less the default, and what won once more.
    expect(measured).toHaveLength(8);
    expect(measured.map(({ verdict }) => verdict).filter((verdict) => !/^(not )?faster$/.test(verdict))).toEqual([]);
  });

  test("measures launches between events", async () => {
    const { model } = await checkSpec(spec);
    const shares: number[] = [];
    const stopwatch: Stopwatch = async ({ loaded }) => {
      const begun = performance.now();
      // Graphs have 16 launches.
      const microseconds = await loaded.time(1);
      shares.push((16 * microseconds) / (performance.now() - begun) / 1000);
      return 20_000;
    };
    await tune(model, { device: "cuda", layer: "narrow", stopwatch });
    expect(shares.length).toBeGreaterThan(0);
    expect(shares.every((share) => share > 0 && share <= 1)).toBe(true);
  });

  test("the command writes the file, compile reads it, and what it compiles to runs", async () => {
    const environment = { ...process.env, ...(await cardEnvironment()) };
    const hirec = (...args: string[]) => runProgram(process.execPath, [cli, ...args], folder, environment);
    const { code, stdout, stderr } = await hirec("tune", "small.hire.ts", "--device", "cuda", "--layer", "narrow");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^small on CUDA on the CPU 0 \(CUDA 13\.0\), profile cuda-sm90\n {2}narrow: .* [mµ]s.*\nsmall\.tuning\.json \([\d.]+ s\): commit it, hirec compile reads it\n$/,
    );
    const path = join(folder, "small.tuning.json");
    const file = JSON.parse(await readFile(path, "utf8")) as TuningFile;
    const { narrow } = file.profiles["cuda-sm90"]!;
    expect(narrow!.measured.length).toBeGreaterThanOrEqual(3);
    for (const { verdict, time, timeAgainst } of narrow!.measured) {
      expect(verdict).toMatch(/^(not )?faster$/);
      expect([time!.median > 0, timeAgainst!.median > 0]).toEqual([true, true]);
    }

    // Registers are no matter of a CPU, so what was chosen is chance; from here on it is this.
    const chosen = { ...narrow!, knobs: { residentThreads: 1024 } };
    await writeFile(path, JSON.stringify({ ...file, profiles: { "cuda-sm90": { narrow: chosen } } }));
    const compiled = await hirec("compile", "small.hire.ts", "--target", "cuda");
    expect(compiled).toMatchObject({ code: 0, stderr: "" });
    expect((await readdir(join(folder, "generated/small/cuda-sm90"))).sort()).toEqual([
      "narrow.rescore_topk.cu",
      "narrow.score_select.cu",
    ]);
    const made = await readCompiledFolder(join(folder, "generated/small"));
    const plan = made.plan.layers.narrow!;
    const weights = randomWeights(plan);
    const model = await loadCudaModel(card.device, made, weights, { layers: ["narrow"] });
    const { x } = randomInputs("narrow", plan);
    const found = await model.softmax("narrow").run(x);
    model.destroy();
    const wanted = await (await createReference("narrow", plan, weights)).run(x);
    expect(findDifference(plan, wanted, found)).toBeUndefined();
  });

  test("where there is no card, it ends as hirec run does", async () => {
    const nothing = { ...process.env, HIREC_LIBCUDA: "/none/libcuda.so.1" };
    const args = [cli, "tune", "small.hire.ts", "--device", "cuda", "--json"];
    const { code, stdout } = await runProgram(process.execPath, args, folder, nothing);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, diagnostics: [{ code: "HIRE-RUN-001" }] });
  });

  test("a schedule that the card refuses is left out, and the search goes on", async () => {
    const { model } = await checkSpec(spec);
    const stopwatch: Stopwatch = async ({ knobs }) => {
      if (knobs.residentThreads !== 1024) return 100;
      throw new HireError({ code: "HIRE-RUN-004", message: "it makes mistakes", fix: "none" });
    };
    const { layers } = await tune(model, { device: "cuda", layer: "narrow", stopwatch });
    expect(layers.narrow!.knobs).toEqual({});
    const refused = layers.narrow!.measured.filter(({ verdict }) => verdict === "refused");
    expect(refused).toEqual([
      { knobs: { residentThreads: 1024 }, against: {}, verdict: "refused", why: "it makes mistakes" },
    ]);
  });
});
