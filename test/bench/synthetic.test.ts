// The bench draws weights and tokens whose scores are like those of tiny-lm, and like what it recorded of tiny-lm.

import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { runPython, whyNoPython } from "../torch/python.ts";

const why = await whyNoPython("torch", "safetensors");
const root = fileURLToPath(new URL("../..", import.meta.url));

interface Described {
  readonly deviation: number;
  readonly profile: Readonly<Record<string, number>>;
  readonly scores: readonly number[];
  readonly weights: readonly number[];
  readonly recalls: readonly number[];
}

describe.skipIf(why)(`synthetic weights of the bench${why ? `, skipped: ${why}` : ""}`, () => {
  let measured: Readonly<Record<string, Described>> & { readonly recorded: Readonly<Record<string, Described>> };

  beforeAll(async () => {
    const files = ["examples/tiny-lm/model.safetensors", "test/fixtures/tiny-lm-reference.safetensors"];
    const paths = files.map((file) => `${root}${file}`);
    measured = JSON.parse(await runPython("../bench/check_synthetic.py", paths, { torch: "real" }));
  }, 120_000);

  test.each(["head", "gate"])("tiny-lm.json holds what tiny-lm's %s is like", (name) => {
    const [recorded, found] = [measured.recorded[name]!, measured[name]!];
    expect(recorded.profile).toEqual(found.profile);
    expect(recorded.deviation).toBeCloseTo(found.deviation, 3);
    for (const spectrum of ["scores", "weights"] as const) {
      expect(recorded[spectrum]).toHaveLength(256);
      recorded[spectrum].forEach((share, i) => {
        expect(share / found[spectrum][i]!).toBeCloseTo(1, 2);
      });
    }
  });

  test.each([
    ["head", "drawnHead"],
    ["gate", "drawnGate"],
  ])("a %s that is drawn has the scores of tiny-lm's, and a low rank finds as much of it", (name, drawnName) => {
    const [wanted, drawn] = [measured[name]!, measured[drawnName]!];
    for (const [rank, score] of Object.entries(wanted.profile)) {
      expect(Math.abs(drawn.profile[rank]! - score), `rank ${rank}`).toBeLessThan(0.2);
    }
    expect(drawn.deviation / wanted.deviation).toBeCloseTo(1, 1);
    wanted.recalls.forEach((recall, i) => {
      expect(Math.abs(drawn.recalls[i]! - recall), `recall ${i}`).toBeLessThan(0.03);
    });
  });
});
