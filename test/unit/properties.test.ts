// Properties over random specs (test/cases/runs.ts says how to search for longer).

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, compileModel } from "../../compiler/index.ts";
import {
  defineModel,
  dense,
  exact,
  ffn,
  greedy,
  type Layer,
  lowRank,
  multinomial,
  quantized,
  softmax,
  twoStage,
} from "../../dsl/index.ts";
import { HireError } from "../../runtime/errors.ts";
import { type NodeDevice, requestNullDevice } from "../../runtime/node/device.ts";
import { compileKernel } from "../../runtime/webgpu/program.ts";
import { feedForwards, heads, recallOf, written } from "../cases/random-specs.ts";
import { RUNS, SEED } from "../cases/runs.ts";

/** Sizes from one row to a large vocabulary. */
const upTo = (largest: number) => ({
  inputs: 4096,
  rows: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: largest })),
  candidates: 4096,
});
const legal: fc.Arbitrary<Layer> = fc.oneof(
  heads(upTo(300_000)).map((options) => softmax(options)),
  feedForwards(upTo(30_000)).map((options) => ffn(options)),
);

const isDiagnosed = (thrown: unknown) =>
  thrown instanceof HireError && thrown.diagnostics.every(({ code, message, fix }) => code && message && fix);

/** What the results of very many groups or candidates are too large for. */
const isTooLarge = (thrown: unknown) =>
  isDiagnosed(thrown) && (thrown as HireError).diagnostics.every(({ code }) => code === "HIRE-PLAN-001");

describe("every legal spec", { timeout: 60_000 * RUNS }, () => {
  let device: NodeDevice;
  let folder: string;
  beforeAll(async () => {
    device = await requestNullDevice();
    folder = await mkdtemp(join(tmpdir(), "hirec-properties-"));
  });
  afterAll(async () => {
    device.close();
    await rm(folder, { recursive: true });
  });

  it("compiles to kernels that Tint accepts, within the limits and with the recall that it asked for", async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(legal, async (layer) => {
        const compiled = compileOrRefuse(layer);
        if (!compiled) return void refused++;
        const { plan, files } = compiled;
        const { selection, candidates } = plan.layers.head!;
        expect(selection.recallOfCandidates).toBeGreaterThanOrEqual(recallOf(layer.options) - 1e-6);
        expect(selection.buckets * selection.keep).toBeGreaterThanOrEqual(candidates);
        for (const { target, layers, limits } of plan.programs) {
          const { buffers, kernels } = layers.head!;
          for (const { slices, bytes } of target === "wgsl" ? buffers : []) {
            expect(Math.max(...(slices ?? [bytes]))).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize!);
          }
          for (const kernel of kernels) {
            const memory = target === "wgsl" ? limits.maxComputeWorkgroupStorageSize! : limits.sharedMemPerBlock!;
            expect(kernel.workgroupBytes).toBeLessThanOrEqual(memory);
            if (target === "wgsl") await compileKernel(device.device, kernel, files.get(kernel.file)!);
          }
        }
      }),
      { numRuns: 80 * RUNS, seed: SEED },
    );
    expect(refused).toBeLessThanOrEqual(4 * RUNS);
  });

  it("compiles to the same from its text as from a program", async () => {
    const small = { inputs: 300, rows: fc.integer({ min: 1, max: 900 }), candidates: 100 };
    const layers = fc.record({
      head: heads(small).map((options) => softmax(options)),
      mlp: feedForwards(small).map((options) => ffn(options)),
    });
    const path = join(folder, "random.hire.ts");
    await fc.assert(
      fc.asyncProperty(layers, async (layers) => {
        const text = Object.entries(layers).map(([name, layer]) => `  ${name}: ${written(layer)},\n`);
        await writeFile(
          path,
          `import { ${NAMES} } from "hirec";\nexport default defineModel("random", {\n${text.join("")}});\n`,
        );
        const { files } = await compile(path);
        expect(files).toEqual(compileModel(defineModel("random", layers)).files);
      }),
      { numRuns: 12 * RUNS, seed: SEED },
    );
  });
});

const NAMES = "defineModel, softmax, ffn, quantized, lowRank, dense, exact, twoStage, statistical, greedy, multinomial";

/** Nothing when the layer is too large. */
function compileOrRefuse(head: Layer) {
  try {
    return compileModel(defineModel("random", { head }), { targets: ["wgsl", "cuda"] });
  } catch (thrown) {
    if (isTooLarge(thrown)) return undefined;
    throw thrown;
  }
}

const BUILDERS = [quantized, lowRank, dense, exact, twoStage, greedy, multinomial, softmax, ffn] as readonly ((
  options: unknown,
) => unknown)[];
/** What options inside of options are called. */
const NESTED = "bits group activations rank basis recall topK topP size score gate up down".split(" ");

/** Functions that no kernel can compute, or only just. */
const FUNCTIONS: readonly ((...given: never[]) => unknown)[] = [
  (z: number) => z,
  () => 1,
  (z: number, y: number) => z + y,
  (z: number) => String(z),
  (z: number): number => FUNCTIONS.length + z,
  async (z: number) => z,
  function* (z: number) {
    yield z;
  },
  Math.abs,
  Math.abs.bind(undefined),
  class {} as never,
  new Proxy((z: number) => z, {}),
];

describe("every broken spec", { timeout: 60_000 * RUNS }, () => {
  /** Anything that a program can put somewhere, builders with anything in them and functions of every kind among it. */
  const anything: fc.Arbitrary<unknown> = fc.oneof(
    { weight: 3, arbitrary: fc.anything() },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(...BUILDERS), fc.anything()).map(([build, options]) => build(options)),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...BUILDERS), fc.dictionary(fc.constantFrom(...NESTED), fc.anything()))
        .map(([build, options]) => build(options)),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<unknown>(
        null,
        undefined,
        0,
        -1,
        0.5,
        1,
        2 ** 24,
        2 ** 24 + 1,
        2 ** 53,
        -0,
        Number.NaN,
        "",
        "f32",
        "max",
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(...FUNCTIONS) },
  );
  const optionsOf = (names: string) =>
    fc.record(Object.fromEntries(names.split(" ").map((name) => [name, anything])), { requiredKeys: [] });
  const ofHead = optionsOf(
    "inputs rows dtype weight estimator k candidates select certify batch crossover bias mask transform temperature logSumExp tail sample",
  );
  const ofFeedForward = optionsOf(
    "inputs hidden outputs dtype gated weights activation estimator group k candidates common select batch crossover",
  );

  const expectDiagnosed = (model: () => ReturnType<typeof defineModel>) => {
    try {
      compileModel(model());
    } catch (thrown) {
      if (!isDiagnosed(thrown)) throw thrown;
    }
  };

  it("gets diagnostics, whatever stands in place of its options, layers and name", () => {
    fc.assert(
      fc.property(anything, anything, ofHead, ofFeedForward, (name, layers, head, mlp) => {
        expectDiagnosed(() => defineModel(name as string, { head: softmax(head as never) }));
        expectDiagnosed(() => defineModel("broken", { mlp: ffn(mlp as never) }));
        expectDiagnosed(() => defineModel("broken", layers as never));
        expectDiagnosed(() => defineModel("broken", { head: softmax(layers as never), other: layers as never }));
      }),
      { numRuns: 1000 * RUNS, seed: SEED },
    );
  });

  it("gets diagnostics, or compiles, when one value of a legal spec is replaced by any other", () => {
    const small = { inputs: 200, rows: fc.integer({ min: 1, max: 300 }), candidates: 50 };
    const layers: fc.Arbitrary<Layer> = fc.oneof(
      heads(small).map((options) => softmax(options)),
      feedForwards(small).map((options) => ffn(options)),
    );
    fc.assert(
      fc.property(layers, fc.nat(), anything, (layer, place, value) => {
        const places = placesIn(layer.options);
        const changed = replaced(layer.options, places[place % places.length]!, value);
        expectDiagnosed(() => defineModel("broken", { layer: { ...layer, options: changed } as Layer }));
      }),
      { numRuns: 2000 * RUNS, seed: SEED },
    );
  });

  it("gets diagnostics, whatever its text is cut or mixed into", async () => {
    const text = `import { defineModel, ffn, lowRank, multinomial, quantized, softmax } from "hirec";
const shape = { inputs: 64, rows: 512 };
const cap = (z: number, most: number) => { if (z > most) return most; return Math.max(z, -most); };
export default defineModel("cut", {
  head: softmax({ ...shape, weight: "w", estimator: quantized({ bits: 4 }), k: 4, sample: multinomial({ topP: 0.9 }) }),
  mlp: ffn({
    ...{ inputs: 64, hidden: 256, weights: { gate: "g", up: "u", down: "d" }, k: 0.1 },
    ...{ estimator: lowRank({ rank: 8, bits: 8 }), group: { size: 4, score: (z) => Math.abs(z) } },
    activation: (z) => (z > 0 ? cap(z, 6) : 0.01 * z ** 3),
  }),
});
`;
    const folder = await mkdtemp(join(tmpdir(), "hirec-properties-"));
    const path = join(folder, "cut.hire.ts");
    const place = fc.integer({ min: 0, max: text.length });
    const inserted = fc.constantFrom(
      "",
      "{",
      "}",
      "(",
      ")",
      ",",
      ";",
      '"',
      "`",
      "...",
      "null",
      "k: 1,",
      "await ",
      "=>",
      "z",
      " ? ",
      "Math.",
      "** ",
      "\0",
    );
    try {
      await fc.assert(
        fc.asyncProperty(place, place, inserted, async (a, b, between) => {
          await writeFile(path, text.slice(0, Math.min(a, b)) + between + text.slice(Math.max(a, b)));
          await compile(path).catch((thrown) => {
            if (!isDiagnosed(thrown)) throw thrown;
          });
        }),
        { numRuns: 60 * RUNS, seed: SEED },
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

type Path = readonly string[];

/** The paths of all values in a layer's options, those of builders' options too. */
function placesIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inside = Object.keys(value).flatMap((name) =>
    placesIn((value as Record<string, unknown>)[name], [...path, name]),
  );
  return path.length === 0 ? inside : [path, ...inside];
}

function replaced(value: unknown, [name, ...rest]: Path, by: unknown): unknown {
  if (name === undefined) return by;
  const object = value as Readonly<Record<string, unknown>>;
  return { ...object, [name]: replaced(object[name], rest, by) };
}
