// The script that `hirec record-script` writes, on a model that knows what it was given: with a stand-in for torch, and with
// torch where HIREC_PYTHON names a Python that has it. What it does with transformers is not tested here.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { check } from "../../compiler/check.ts";
import { recordScript } from "../../compiler/record-script.ts";
import { defineModel, ffn, quantized, softmax } from "../../dsl/index.ts";
import { openSafetensors } from "../../runtime/node/safetensors-file.ts";
import { failureOf } from "../unit/diagnostics/failure.ts";
import { runPython, type Torch, whyNoPython } from "./python.ts";

const estimator = quantized({ bits: 4 });
const weights = {
  gate: "model.mlp.gate_proj.weight",
  up: "model.mlp.up_proj.weight",
  down: "model.mlp.down_proj.weight",
};
const modelWith = (weight: string) =>
  check({
    model: defineModel("small", {
      head: softmax({ inputs: 3, rows: 8, weight, estimator, k: 2 }),
      mlp: ffn({ inputs: 3, hidden: 16, weights, activation: (z) => Math.max(z, 0), estimator, k: 1 }),
    }),
    sites: [],
  });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-record-"));
});
afterAll(() => rm(folder, { recursive: true }));

const missing: Readonly<Record<Torch, string | undefined>> = {
  fake: await whyNoPython("numpy"),
  real: await whyNoPython("torch", "safetensors"),
};

describe.each(["fake", "real"] as const)("with a %s torch", (torch) => {
  test(`it records what goes into each layer, as safetensors${missing[torch] ? `, skipped: ${missing[torch]}` : ""}`, async ({
    skip,
  }) => {
    if (missing[torch]) skip(missing[torch]);
    // Tied to the embedding, so that it is the model's head whose input counts.
    await writeFile(join(folder, "record.py"), recordScript(modelWith("model.embed_tokens.weight")));
    const out = join(folder, `${torch}.safetensors`);
    expect(await runPython("record_check.py", [join(folder, "record.py"), out], { torch })).toContain("recorded");
    const file = await openSafetensors(out);
    for (const name of ["head.input", "mlp.input"]) {
      const tensor = file.tensors.get(name)!;
      expect(tensor).toMatchObject({ dtype: "F32", shape: [10, 3] });
      const bytes = await file.read(tensor);
      const tokens = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21];
      expect([...new Float32Array(bytes.buffer)]).toEqual(tokens.flatMap((token) => [token, token, token]));
    }
    await file.close();
  });
});

test("HIRE-CAL-008 where a tensor names no module", async () => {
  expect(await failureOf(() => recordScript(modelWith("lm_head")))).toMatchObject({
    diagnostics: [{ code: "HIRE-CAL-008", message: expect.stringContaining('"lm_head"') }],
  });
});
