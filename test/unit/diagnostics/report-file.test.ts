// The file of --report: written, refused, or not written at all.

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { evaluateCommand } from "../../../compiler/cli/commands/evaluate.ts";
import { packCommand } from "../../../compiler/cli/commands/pack.ts";
import { thisRun } from "../../../compiler/cli/report-file.ts";
import { at, calibrated, diagnosticsOf, outcomeOf, useSmallLayer } from "./small-layer.ts";

useSmallLayer();

test("a report of a calibration and of an evaluation is written beside the result, with the diff", async () => {
  const shown = await calibrated({ out: at("out.json"), report: at("new/report.html") });
  expect(shown).toMatchObject({ exitCode: 0, ok: true });
  const html = await readFile(at("new/report.html"), "utf8");
  expect(html).toContain("<h1>Calibration of small</h1>");
  expect(html).toContain('<span class="removed">-    estimator: quantized({ bits: 8, group: 32 }), // codes');
  const paths = { module: at("small.hire.ts"), weights: [at("w.safetensors")], activations: undefined };
  await outcomeOf(packCommand, { ...paths, out: at("small.pack") });
  const evaluated = await outcomeOf(evaluateCommand, {
    ...{ module: at("small.hire.ts"), weights: at("small.pack"), exact: [at("w.safetensors")], recall: 1.1 },
    ...{ activations: [at("x.safetensors")], device: "reference", tokens: 16, report: at("evaluation.html") },
  });
  expect(evaluated.exitCode).toBe(0);
  expect(await readFile(at("evaluation.html"), "utf8")).toContain("warning HIRE-CAL-010");
});

describe("HIRE-CAL-006 before anything is measured where --report is", () => {
  test.each([
    ["the spec", "small.hire.ts"],
    ["a file of weights", "w.safetensors"],
    ["a file of inputs", "x.safetensors"],
    ["the file of --out", "out.json"],
  ])("%s", async (_, file) => {
    const before = existsSync(at(file)) && (await readFile(at(file)));
    const outcome = await calibrated({ report: at(file), out: at("out.json") });
    expect(outcome.exitCode).toBe(1);
    expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
    expect(existsSync(at(file)) && (await readFile(at(file)))).toEqual(before);
    expect(existsSync(at("cache"))).toBe(false);
  });

  test.each([
    ["the module that is evaluated", "small.hire.ts"],
    ["its pack", "small.pack"],
    ["a file of its exact weights", "w.safetensors"],
    ["a file of its inputs", "x.safetensors"],
  ])("%s", async (_, file) => {
    // What is no pack is not found out: nothing is opened yet.
    await writeFile(at("small.pack"), "not a pack");
    const before = await readFile(at(file));
    const outcome = await outcomeOf(evaluateCommand, {
      ...{ module: at("small.hire.ts"), weights: at("small.pack"), exact: [at("w.safetensors")], recall: 0.95 },
      ...{ activations: [at("x.safetensors")], device: "reference", tokens: 16, report: at(file) },
    });
    expect(outcome.exitCode).toBe(1);
    expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
    expect(await readFile(at(file))).toEqual(before);
  });
});

test("HIRE-CAL-006 where a report cannot be written, and nothing is left of it", async () => {
  const outcome = await calibrated({ report: at("w.safetensors/report.html") });
  expect(diagnosticsOf(outcome)).toMatchObject([{ code: "HIRE-CAL-006" }]);
  await mkdir(at("folder"));
  const folder = await calibrated({ report: at("folder") });
  expect(diagnosticsOf(folder)).toMatchObject([{ code: "HIRE-CAL-006", message: expect.stringContaining("folder") }]);
  expect((await readdir(at(""))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

describe("the command of a report", () => {
  const { argv } = process;
  afterEach(() => {
    process.argv = argv;
  });

  test("is quoted where a shell would read something else", () => {
    process.argv = ["node", "main.js", "calibrate", "a b.hire.ts", "--target", "recall=0.99", "it's", "$(x)", ""];
    expect(thisRun().command).toBe(`hirec calibrate 'a b.hire.ts' --target recall=0.99 'it'\\''s' '$(x)' ''`);
  });
});
