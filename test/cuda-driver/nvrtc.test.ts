// The real NVRTC, where it is installed; it needs no card. HIREC_LIBNVRTC names the library where it lies elsewhere.

import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CompileFailure, type CudaCompiler } from "../../runtime/cuda/compiler.ts";
import { loadNvrtc } from "../../runtime/cuda/nvrtc.ts";

const found = await loadNvrtc().catch(() => "there is no libnvrtc");
const missing = typeof found === "string" ? found : undefined;

describe.skipIf(missing)(`CUDA sources in NVRTC${missing ? `, skipped: ${missing}` : ""}`, () => {
  const nvrtc = found as CudaCompiler;
  const folder = fileURLToPath(new URL("../../generated/tiny-lm/cuda", import.meta.url));

  test("the kernels of tiny-lm compile for the oldest card that is supported, and the event loop goes on", async () => {
    const files = (await readdir(folder)).filter((file) => /^(head|mlp0)\..*\.cu$/.test(file));
    expect(files.length).toBeGreaterThan(4);
    for (const name of files) {
      let turns = 0;
      const counter = setInterval(() => turns++, 5);
      const image = await nvrtc.compile({ name, text: await readFile(`${folder}/${name}`, "utf8") }, "sm_80");
      clearInterval(counter);
      expect(Buffer.from(image.subarray(0, 4)).toString("latin1")).toBe("\u007fELF");
      expect(turns).toBeGreaterThan(3);
    }
  });

  test("PTX is a text that ends, and a mistake has its line", async () => {
    const name = "mlp0.reduce.cu";
    const text = await readFile(`${folder}/${name}`, "utf8");
    const ptx = await nvrtc.compile({ name, text }, "compute_80");
    expect(Buffer.from(ptx).toString()).toMatch(/\.target sm_80.*\.entry mlp0_reduce/s);
    const broken = text.replace("  unsigned int ", "  oops;\n  unsigned int ");
    const line = broken.split("\n").findIndex((each) => each.includes("oops;")) + 1;
    const failure = await nvrtc.compile({ name, text: broken }, "sm_80").catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(CompileFailure);
    expect((failure as Error).message).toBe(`line ${line}: identifier "oops" is undefined in \`oops;\``);
  });
});
