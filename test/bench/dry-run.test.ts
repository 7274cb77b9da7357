// The bench for a GPU, run on the CPU: all of its code, with small layers, and kernels that g++ built. Its times say nothing.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bench } from "../../bench/gpu/layers.ts";
import { writePackage } from "../../bench/gpu/write-package.ts";
import { isTimed, type Results, readResults } from "../../bench/report/results.ts";
import { dense, lowRank, quantized } from "../../dsl/index.ts";
import type { Plan } from "../../runtime/plan.ts";
import { whyNoCompiler } from "../cuda-host/build.ts";
import { buildLibraries } from "../torch/build.ts";
import { PYTHON, whyNoPython } from "../torch/python.ts";

const execute = promisify(execFile);

const root = fileURLToPath(new URL("../..", import.meta.url));
const why = (await whyNoCompiler()) ?? (await whyNoPython("torch", "safetensors"));

const head = {
  kind: "head",
  name: "small",
  title: "a small head",
  rows: 500,
  inputs: 128,
  k: 4,
  candidates: 16,
} as const;
const ffn = { kind: "ffn", name: "thin", title: "a thin feed-forward", inputs: 128, hidden: 256, k: 0.125 } as const;
const mlp = { ...ffn, candidates: 0.25 } as const;

const SMALL: Bench = {
  shapes: [
    { ...head, leastRatio: 3 },
    { ...mlp, leastRatio: 1e-9 },
  ],
  batches: [1, 2],
  estimators: {
    int4: quantized({ bits: 4, group: 128 }),
    rank16: lowRank({ rank: 16, bits: 8, basis: "activations" }),
    dense: dense(),
  },
  decode: {
    ...{ head, mlp, layers: 2, attentionHeads: 4, keyHeads: 2, context: 8 },
    ...{ batches: [1, 2], estimator: "int4", leastRatio: 1.47 },
  },
  scoreOfBandwidth: { int4: 0.8 },
};

/** What this torch may lack on a CPU; on a card nothing of hirec may be missing. */
const OPTIONAL = ["torch int4", "torch int4, then exact", "torch fp8"];

const CONTENDERS = {
  small: ["torch", "torch.compile", "hirec int4", "hirec rank16", "hirec dense", ...OPTIONAL],
  thin: [
    "torch",
    "torch.compile",
    "hirec int4",
    "hirec rank16",
    "hirec dense",
    "torch.compile, merged",
    "torch, gathered",
  ],
};

describe.skipIf(why)(`the bench on the CPU${why ? `, skipped: ${why}` : ""}`, () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  let log: string;
  let layers: Results;
  let decode: Results;

  const run = (command: string, ...args: readonly string[]) =>
    execute(command, args, { cwd: root, env, maxBuffer: 1 << 26 });
  const refused = (...args: readonly string[]) =>
    run("bash", "bench/gpu/run.sh", ...args).then(
      () => undefined,
      ({ code, stderr, stdout }) => ({ code, said: `${stdout}${stderr}` }),
    );
  const path = (name: string) => join(folder, name);
  const rowOf = ({ rows }: Results, shape: string, batch: number, contender: string) =>
    rows.filter(isTimed).find((row) => row.shape === shape && row.batch === batch && row.contender === contender)!;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-bench-"));
    const { plan, files } = await writePackage(path("prepared"), SMALL, "a dry run");
    const stream = await readFile(join(root, "bench/gpu/stream.cu"), "utf8");
    const libraries = await buildLibraries(
      withKernel(plan, "stream_read"),
      new Map([...files, ["stream_read", stream]]),
    );
    env = {
      ...process.env,
      ...{ HIREC_PYTHON: PYTHON, LD_LIBRARY_PATH: libraries, XDG_CACHE_HOME: path("cache"), OMP_NUM_THREADS: "1" },
    };
    const options = ["--dry-run", "--repeats", "2", "--prepared", path("prepared")];
    const stages = [path("out"), "bench", "decode", "--", ...options];
    log = await run("bash", "bench/gpu/run.sh", ...stages).then(
      ({ stdout }) => stdout,
      ({ stdout, stderr }) => Promise.reject(new Error(`${stdout}${stderr}`)),
    );
    const names = await readdir(path("out"));
    const named = (end: string) => readResults(join(path("out"), names.find((name) => name.endsWith(end))!));
    layers = await named("-layers.json");
    decode = await named("-decode.json");
  }, 300_000);
  afterAll(() => rm(folder, { recursive: true }));

  test("results say what they are of", () => {
    for (const results of [layers, decode]) {
      expect(results).toMatchObject({ dryRun: true, commit: "a dry run", notReached: [] });
      expect(results.machine.torch).toEqual(expect.any(String));
      expect(results.command).toContain("--dry-run");
      expect(results.bandwidth.read).toBeGreaterThan(1e6);
      expect(results.bandwidth.copy).toBeGreaterThan(1e6);
    }
    expect(Object.keys(layers.bandwidth.readers)).toEqual(["stream_read, 1 blocks of 64", "torch.amax"]);
  });

  test.each(["small", "thin"] as const)("every contender of %s is timed, or says why it is not", (shape) => {
    for (const batch of [1, 2]) {
      const own = layers.rows.filter((row) => row.shape === shape && row.batch === batch);
      expect(own.map(({ contender }) => contender)).toEqual(expect.arrayContaining(CONTENDERS[shape]));
      for (const row of own) {
        if (isTimed(row)) {
          expect(row.usLow).toBeGreaterThan(0);
          expect(row.us).toBeGreaterThanOrEqual(row.usLow);
          expect(row.usHigh).toBeGreaterThanOrEqual(row.us);
          expect(row.ratio).toBeCloseTo(rowOf(layers, shape, batch, "torch").us / row.us, 6);
          expect(row.ofFloor).toBeCloseTo(row.bytes / layers.bandwidth.read / (row.us * 1e-6), 6);
        } else {
          expect(OPTIONAL).toContain(row.contender);
          expect(row.skipped).toMatch(/Error: ./);
        }
      }
    }
  });

  test.each([
    ["small", "hirec int4", 0.95],
    ["small", "hirec rank16", 0.6],
    ["small", "hirec dense", 1],
    ["small", "torch", 0.95],
    ["thin", "hirec int4", 0.95],
    ["thin", "hirec rank16", 0.6],
    ["thin", "hirec dense", 1],
    ["thin", "torch, gathered", 0.95],
  ])("%s: %s finds what it has to, and computes it right", (shape, contender, least) => {
    for (const batch of [1, 2]) {
      const { recall, error } = rowOf(layers, shape, batch, contender);
      expect(recall).toBeGreaterThanOrEqual(least);
      expect(error).toBeLessThan(contender.startsWith("hirec") ? 1e-5 : 0.02);
    }
  });

  test("a layer's kernels are profiled, and the scoring one is held against the bandwidth", () => {
    const row = rowOf(layers, "small", 2, "hirec rank16");
    expect(row.kernels.map(({ name }) => name)).toEqual(
      ["project", "score_select", "rescore_topk"].map((kernel) => `small_rank16_b2_${kernel}`),
    );
    expect(row.launches).toBe(3);
    expect(row.copies).toBeGreaterThan(1);
    expect(row.scoreOfBandwidth).toBeGreaterThan(0);
    expect(layers.bars.map(({ bar, wanted }) => [bar, wanted])).toEqual([
      ["a small head: int4 scoring, share of bandwidth", 0.8],
      ["a small head: int4, times as fast as torch", 3],
      ["a thin feed-forward: int4, times as fast as torch", 1e-9],
    ]);
    expect(layers.bars.at(-1)!.passed).toBe(true);
    expect(layers.bars[0]).toMatchObject({
      passed: false,
      reached: rowOf(layers, "small", 1, "hirec int4").scoreOfBandwidth,
    });
  });

  test("whole steps of decoding are timed, and their parts", () => {
    for (const batch of [1, 2]) {
      for (const contender of ["dense", "dense, compiled", "hirec", "hirec, compiled"]) {
        const row = rowOf(decode, "decode", batch, contender);
        expect(row.tokensPerSecond).toBeCloseTo((batch / row.us) * 1e6, 3);
        expect(Object.keys(row.parts!)).toEqual(["attention", "mlp", "head"]);
        // Of near ties, bf16 may take the other.
        expect(row.top1).toBeGreaterThan(0.7);
        expect(row.error).toBeLessThan(0.02);
      }
      expect(rowOf(decode, "decode", batch, "hirec").bytes).toBeLessThan(rowOf(decode, "decode", batch, "dense").bytes);
    }
    expect(decode.bars).toHaveLength(1);
  });

  test("the log shows a line per row", () => {
    for (const { contender } of layers.rows) expect(log).toContain(` ${contender} `);
    expect(log).toMatch(/reads \d+ GB\/s/);
  });

  test("what there is no time for is listed", async () => {
    const out = path("late.json");
    const options = ["--dry-run", "--prepared", path("prepared"), "--out", out, "--seconds", "0", "--shapes", "thin"];
    await run(PYTHON, "bench/gpu/bench.py", ...options);
    const late = await readResults(out);
    expect(late.rows).toEqual([]);
    expect(late.notReached).toEqual([1, 2].map((batch) => ({ shape: "thin", batch })));
  }, 120_000);

  test("what is asked for wrongly is refused with what there is", async () => {
    expect(await refused()).toMatchObject({ code: 2, said: expect.stringContaining("run.sh OUT") });
    expect(await refused(path("no"), "benches")).toMatchObject({
      code: 2,
      said: expect.stringContaining("no stage benches"),
    });
    const dry = [path("no"), "bench", "--", "--dry-run", "--prepared"];
    const wrong = await refused(...dry, path("prepared"), "--shapes", "large");
    expect(wrong).toMatchObject({ code: 2, said: expect.stringContaining("no name large; there are small, thin") });
    const nothing = await refused(...dry, path("nothing"));
    expect(nothing).toMatchObject({ code: 2, said: expect.stringContaining("npm run bench:gpu:prepare writes it") });
    env.HIREC_PYTHON = "false";
    expect(await refused(path("no"))).toMatchObject({ code: 3, said: expect.stringContaining("install torch") });
    env.HIREC_PYTHON = PYTHON;
  }, 120_000);

  test("a report is made of them, which says that it is of a dry run", async () => {
    const names = (await readdir(path("out"))).filter((name) => name.endsWith(".json"));
    const files = names.sort().map((name) => join(path("out"), name));
    const report = ["node_modules/.bin/tsx", "bench/report.ts", ...files, "--out", path("docs")];
    await expect(run(process.execPath, ...report)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("dry run"),
    });
    await run(process.execPath, ...report, "--dry-run");
    const text = await readFile(path("docs/benchmark-results.md"), "utf8");
    expect(text).toContain("its numbers mean nothing");
    expect(text).toMatch(/\| hirec int4 \| \d/);
    const images = [...text.matchAll(/\]\((images\/.+?)\)/g)].map(([, image]) => image!);
    expect(images).toEqual(["decode", "heads", "feed-forwards"].map((name) => `images/bench-${name}.svg`));
    for (const image of images)
      expect(await readFile(path(`docs/${image}`), "utf8")).toMatch(/^<svg xmlns="http.*<rect/s);
  }, 120_000);
});

/** A plan that has one more kernel, of a file of that name. */
function withKernel(plan: Plan, name: string): Plan {
  const [program] = plan.programs.filter(({ target }) => target === "cuda");
  const kernels = [{ name, file: name }];
  return {
    ...plan,
    programs: [{ ...program!, layers: { ...program!.layers, [name]: { buffers: [], kernels } } }],
  } as unknown as Plan;
}
