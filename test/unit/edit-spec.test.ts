// Settings written into specs of many shapes: each edit is run and says what was meant (compiler/calibrate/edit.ts holds that
// itself, and would refuse), and touches nothing but values.

import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { editSpec } from "../../compiler/calibrate/edit.ts";
import type { Setting } from "../../compiler/calibrate/result.ts";
import { check } from "../../compiler/check.ts";
import { load } from "../../compiler/load.ts";

const ESTIMATORS: readonly Setting["estimator"][] = [
  { kind: "quantized", bits: 2, group: 64, activations: "int8" },
  { kind: "quantized", bits: 5, group: "row", activations: "int8" },
  { kind: "quantized", bits: 8, group: 32, activations: "f32" },
  { kind: "lowRank", rank: 16, bits: 8, basis: "weights", activations: "int8" },
  { kind: "lowRank", rank: 32, bits: 4, basis: "activations", activations: "int8" },
  { kind: "lowRank", rank: 8, bits: 16, basis: "activations", activations: "f32" },
];
const SELECTORS: readonly Setting["select"][] = [
  { kind: "twoStage", recall: 0.99 },
  { kind: "twoStage", recall: 0.9 },
  { kind: "exact" },
  { kind: "statistical" },
];
const SETTINGS = ESTIMATORS.flatMap((estimator) =>
  SELECTORS.map((select, i): Setting => ({ estimator, select, candidates: 12 + i })),
);

const HEAD = `inputs: 64, rows: 512, weight: "w", k: 8`;
const SHAPES: readonly (readonly [name: string, text: string])[] = [
  [
    "on one line",
    `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("m", { head: softmax({ ${HEAD}, estimator: quantized({ bits: 4 }) }) });
`,
  ],
  [
    "on lines of their own, with comments",
    `import { defineModel, exact, lowRank, quantized, softmax, statistical, twoStage } from "hirec";
export default defineModel("m", {
  head: softmax({
    ${HEAD}, // sizes
    estimator: lowRank({
      rank: 4, // few
      bits: 8,
    }),
    candidates: 64, // many
    /* how */ select: statistical({ expected: 100 }),
  }),
});
`,
  ],
  [
    "that are dense, without a comma at the end",
    `import { dense, defineModel, softmax } from "hirec";
export default defineModel("m", {
  head: softmax({
    ${HEAD},
    estimator: dense()
  })
});
`,
  ],
  [
    "under other names",
    `import { defineModel as model, exact as all, quantized as codes, softmax as top } from "hirec";
export default model("m", { head: top({ ${HEAD}, "estimator": codes({ "bits": 4, group: 'row' }), select: all() }) });
`,
  ],
  [
    "of a namespace",
    `import * as hirec from "hirec";
export default hirec.defineModel("m", {
  head: hirec.softmax(({ ${HEAD}, estimator: hirec.quantized({ bits: 4, activations: "f32" } as const) } satisfies object)),
});
`,
  ],
  [
    "in a helper, behind a spread that says nothing of them",
    `import { defineModel, quantized, softmax, twoStage } from "hirec";
const sizes = { inputs: 64, rows: 512 };
const head = () => softmax({ ...sizes, weight: "w", k: 8, estimator: quantized({ bits: 4 }), select: twoStage({ recall: 0.5 }), ...{ batch: 2 } });
export default defineModel("m", { head: head() });
`,
  ],
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-edit-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(SHAPES)("values %s", (_name, text) => {
  test("become any others", async () => {
    const path = join(folder, "m.hire.ts");
    await writeFile(path, text);
    const spec = await load(path);
    const model = check(spec);
    for (const setting of SETTINGS) {
      const { texts, problems } = await editSpec(spec, model, new Map([["head", setting]]), (file) =>
        readFileSync(file, "utf8"),
      );
      expect(problems, JSON.stringify(setting)).toEqual([]);
      const [{ before, after } = { before: "", after: "" }] = texts.values();
      expect(before).toBe(text);
      const comments = (of: string) => of.match(/\/\/ (sizes|many)|\/\* how \*\//g);
      expect(comments(after)).toEqual(comments(text));
    }
  });
});

test("a comment stays with its property when others follow", async () => {
  const path = join(folder, "comment.hire.ts");
  await writeFile(path, SHAPES[0]![1].replace("})", "}),\n  batch: 2, // tokens\n"));
  const spec = await load(path);
  const { texts } = await editSpec(spec, check(spec), new Map([["head", SETTINGS[1]!]]), (file) =>
    readFileSync(file, "utf8"),
  );
  const [{ after } = { after: "" }] = texts.values();
  expect(after).toContain("batch: 2, // tokens\n  candidates: 13,\n");
});

describe("what shards select and send", () => {
  const changes: readonly NonNullable<Setting["shards"]>[] = [
    { slack: 2.5, exchange: 5 },
    { slack: 1 },
    { exchange: 8 },
  ];
  const shapes: readonly (readonly [name: string, shards: string])[] = [
    ["a number", "4"],
    ["a count alone", "{ count: 4 }"],
    [
      "shares and odds, with comments",
      '{\n      count: 4, // ranks\n      slack: { recall: 0.95 }, exchange: { resend: 0.1 }, layout: "contiguous",\n    }',
    ],
    ["numbers", '{ "count": 4, slack: 1.5, exchange: 3 }'],
  ];
  const edited = async (shards: string, setting: Partial<Setting>, before = "") => {
    const path = join(folder, "sharded.hire.ts");
    await writeFile(
      path,
      `import { defineModel, quantized, softmax } from "hirec";
${before}export default defineModel("m", {
  head: softmax({ ${HEAD}, estimator: quantized({ bits: 4 }), shards: ${shards} }),
});
`,
    );
    const spec = await load(path);
    return editSpec(spec, check(spec), new Map([["head", setting]]), (file) => readFileSync(file, "utf8"));
  };

  test.each(shapes)("written as %s become any others, alone or with a setting", async (_name, shards) => {
    for (const change of changes) {
      for (const setting of [{}, SETTINGS[1]!]) {
        const { texts, problems } = await edited(shards, { ...setting, shards: change });
        expect(problems).toEqual([]);
        const [{ after } = { after: "" }] = texts.values();
        for (const [name, value] of Object.entries(change)) expect(after).toContain(`${name}: ${value}`);
        expect(after.includes("// ranks")).toBe(shards.includes("// ranks"));
      }
    }
  });

  test.each([
    ["spread", "const spread = { count: 4 };\n"],
    ["{ count: 4, slack }", "const slack = 1.5;\n"],
    ["{ count: 4, slack: { recall: 1 - 0.05 } }", ""],
  ])("written as %s are printed instead, with HIRE-CAL-005", async (shards, before) => {
    const { texts, problems } = await edited(shards, { shards: { slack: 2, exchange: 6 } }, before);
    expect(texts.size).toBe(0);
    expect(problems).toMatchObject([
      { code: "HIRE-CAL-005", fix: "Write them yourself: shards.slack: 2, shards.exchange: 6" },
    ]);
  });
});
