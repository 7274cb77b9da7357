// What a calibration writes into a spec, and specs that it cannot write into.

import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { mulberry32, normal } from "../../cases/random.ts";
import { at, calibrated, diagnosticsOf, INPUTS, ROWS, SPEC, store, TOKENS, useSmallLayer } from "./small-layer.ts";

useSmallLayer();

describe("HIRE-CAL-005: values that are not written in the layer's call are printed, and nothing is written", () => {
  test.each([
    [
      "a variable",
      SPEC.replace("quantized({ bits: 8, group: 32 })", "codes").replace(
        "export",
        "const codes = quantized({ bits: 8 });\nexport",
      ),
      "estimator comes from a variable or helper",
      "estimator: codes",
    ],
    [
      "a spread",
      SPEC.replace("k: 8,", "k: 8, ...{ candidates: 64 },").replace("    candidates: 64,\n", ""),
      "candidates comes from a spread",
      "...{ candidates: 64 }",
    ],
    [
      "a computation",
      SPEC.replace("candidates: 64", "candidates: 8 * 8"),
      "candidates is not a plain value",
      "candidates: 8 * 8",
    ],
    [
      "a constant of options",
      SPEC.replace("softmax({", "softmax(options), tail: softmax({").replace(
        "export",
        `const options = { inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8, candidates: 64 } as const;\nexport`,
      ),
      "its options are not written in its call",
      "options",
    ],
    [
      "a value that another layer takes over",
      `import { defineModel, quantized, softmax } from "hirec";
const head = softmax({ inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8 });
export default defineModel("small", { head, tail: softmax({ ...head.options, weight: "v" }) });
`,
      'the edited spec says something else of "tail" than what was meant',
      undefined,
    ],
    [
      "a helper that writes another layer too",
      `import { defineModel, quantized, softmax } from "hirec";
const head = () => softmax({ inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: quantized({ bits: 8 }), k: 8, candidates: 64 });
export default defineModel("small", { head: head(), tail: head() });
`,
      'the same call writes "tail", which is not calibrated',
      "softmax({",
    ],
  ] as const)("%s", async (_what, text, says, place) => {
    await writeFile(at("small.hire.ts"), text);
    const outcome = await calibrated({ write: true });
    expect(outcome).toMatchObject({ exitCode: 1, ok: false, written: false });
    const [problem, ...others] = diagnosticsOf(outcome);
    expect(others).toEqual([]);
    expect(problem).toMatchObject({ code: "HIRE-CAL-005", message: expect.stringContaining(says) });
    expect(problem!.fix).toMatch(
      /^Write them yourself: estimator: quantized\(\{ bits: 4.* \}\), candidates: \d+, select: \w+\(/,
    );
    if (place === undefined) return;
    const { line, column } = problem!.span!;
    expect(text.split("\n")[line - 1]!.slice(column - 1)).toMatch(
      new RegExp(`^${place.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`),
    );
    expect(await readFile(at("small.hire.ts"), "utf8")).toBe(text);
  });
});

test("a call that writes several layers is edited when all of them are calibrated, and gives them one setting", async () => {
  const text = `import * as hire from "hirec";
const heads = ["a", "b"].map((name) => [name, hire.softmax({
  inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w", estimator: hire.dense(), k: 8
})] as const);
export default hire.defineModel("small", Object.fromEntries(heads));
`;
  await writeFile(at("small.hire.ts"), text);
  const random = mulberry32(9);
  await store("a", "a.input", [TOKENS, INPUTS], () => normal(random));
  await store("b", "b.input", [TOKENS, INPUTS], () => normal(random));
  const activations = [at("a.safetensors"), at("b.safetensors")];
  const outcome = await calibrated({ activations, write: true });
  expect(outcome).toMatchObject({ exitCode: 0, written: true, problems: [] });
  expect(await readFile(at("small.hire.ts"), "utf8")).toMatch(
    /estimator: hire\.quantized\(\{ bits: 4.*\}\), k: 8, candidates: \d+(, select: hire\..*)?\n\}\)\] as const/,
  );
});

test("a builder that is not imported yet is, once", async () => {
  const head = `softmax({
    inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w",
    estimator: dense(), // for now
    k: 8,
  })`;
  const text = `import { defineModel, dense, softmax } from "hirec";
export default defineModel("small", {
  head: ${head},
  tail: ${head},
});
`;
  await writeFile(at("small.hire.ts"), text);
  const random = mulberry32(9);
  await store("tail", "tail.input", [TOKENS, INPUTS], () => normal(random));
  const activations = [at("x.safetensors"), at("tail.safetensors")];
  expect(await calibrated({ activations, write: true, bits: [8], group: ["row"], select: [0.99] })).toMatchObject({
    problems: [],
  });
  const edited = await readFile(at("small.hire.ts"), "utf8");
  expect(edited).toContain('import { defineModel, dense, softmax, quantized } from "hirec";');
  expect(edited).toMatch(
    /estimator: quantized\(\{ bits: 8, group: "row" \}\), \/\/ for now\n {4}k: 8,\n {4}candidates: \d+,\n {2}\}\)/,
  );
});
