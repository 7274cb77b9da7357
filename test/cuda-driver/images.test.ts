// Where kernel images come from: compiled ahead, NVRTC, nvcc; and what is said where none of them serves.

import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { prepareTrial } from "../../compiler/cli/doctor/trial.ts";
import type { CompiledModel } from "../../compiler/emit.ts";
import { compileFatbins } from "../../compiler/fatbin.ts";
import { compareFolder, write } from "../../compiler/write.ts";
import { imagesOf } from "../../runtime/cuda/compiled-images.ts";
import { bestArchitecture } from "../../runtime/cuda/compiler.ts";
import { findImage } from "../../runtime/cuda/images.ts";
import { failureOf } from "../unit/diagnostics/failure.ts";
import { cardEnvironment, missing } from "./card.ts";
import { isEqual } from "./on-device.ts";
import { makeToolkit, type Toolkit } from "./toolkit.ts";

describe.skipIf(missing)(`kernel images${missing ? `, skipped: ${missing}` : ""}`, () => {
  let compiled: CompiledModel;
  let folder: string;
  let toolkit: Toolkit;
  let sharedCache: string;

  const kernels = () =>
    Object.values(compiled.plan.programs.find(({ target }) => target === "cuda")!.layers.dense!.kernels);
  const kernel = () => kernels()[0]!;
  const text = () => compiled.files.get(kernel().file)!;
  const find = (source = text(), capability = 90) => findImage(kernel(), source, capability, imagesOf(folder));

  beforeAll(async () => {
    const environment = await cardEnvironment();
    Object.assign(process.env, environment);
    sharedCache = environment.XDG_CACHE_HOME!;
    const { plan, sources } = (await prepareTrial()).compiled;
    const program = plan.programs.find(({ profile }) => profile === "cuda-sm80")!;
    // Of one layer: each source takes half a second to compile.
    const programs = [{ ...program, layers: { dense: program.layers.dense! } }];
    compiled = { plan: { ...plan, programs }, files: new Map(Object.entries(sources)) };
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-images-"));
    toolkit = await makeToolkit(folder);
    vi.stubEnv("XDG_CACHE_HOME", sharedCache);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });
  afterAll(() => vi.unstubAllEnvs());

  const { PATH } = process.env;
  const withNvcc = () => vi.stubEnv("PATH", `${toolkit.bin}:${PATH}`);
  const withoutNvcc = () => vi.stubEnv("PATH", folder);
  const withoutNvrtc = () => vi.stubEnv("HIREC_LIBNVRTC", join(folder, "none.so"));
  const withOwnCache = () => vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"));
  test("NVRTC compiles for the card, and what it made is kept", async () => {
    withOwnCache();
    const first = await find();
    expect(first.from).toBe("NVRTC 0.1");
    expect(Buffer.from(first.bytes.subarray(0, 16)).toString()).toBe("HIRECPU sm  90  ");
    const [file, ...others] = await readdir(join(folder, "cache", "hirec", "cuda"));
    expect(others).toEqual([]);
    const second = await find();
    expect(second.from).toBe(`${join(folder, "cache", "hirec", "cuda", file!)}, made by NVRTC 0.1`);
    expect(isEqual(second.bytes, first.bytes)).toBe(true);
    expect((await find(`${text()}\n`)).from, "another source").toBe("NVRTC 0.1");
    expect((await find(text(), 80)).from, "another card").toBe("NVRTC 0.1");
  });

  test("a cache that cannot be written is no reason to fail", async () => {
    await writeFile(join(folder, "file"), "");
    vi.stubEnv("XDG_CACHE_HOME", join(folder, "file"));
    vi.stubEnv("TMPDIR", join(folder, "file"));
    expect((await find()).from).toBe("NVRTC 0.1");
  });

  test("an NVRTC that is older than the card makes PTX", async () => {
    withOwnCache();
    // Loaded anew from another path: what it knows it is asked once.
    const older = join(folder, "libnvrtc.so.12");
    await copyFile(process.env.HIREC_LIBNVRTC!, older);
    vi.stubEnv("HIREC_LIBNVRTC", older);
    vi.stubEnv("HIREC_NVRTC_ON_CPU_ARCHITECTURE", "90");
    const { bytes } = await find(text(), 100);
    expect(Buffer.from(bytes.subarray(0, 16)).toString()).toBe("HIRECPU ptx 90  ");
    expect(bestArchitecture([75, 80, 86, 90], 89)).toBe("sm_86");
    expect(bestArchitecture([75, 80, 86, 90], 103)).toBe("compute_90");
    expect(bestArchitecture([90, 100], 80)).toBeUndefined();
  });

  test("nvcc compiles where there is no NVRTC", async () => {
    withOwnCache();
    withoutNvrtc();
    withNvcc();
    expect((await find()).from).toBe("nvcc V0.0.0");
    expect((await find()).from).toMatch(/\.image, made by nvcc V0\.0\.0$/);
    expect(await toolkit.calls()).toHaveLength(1);
  });

  test("HIRE-RUN-011: none of the three serves, and each says why", async () => {
    withoutNvrtc();
    withoutNvcc();
    const { diagnostics } = await failureOf(() => find());
    expect(diagnostics).toMatchObject([{ code: "HIRE-RUN-011" }]);
    const { message, fix } = diagnostics[0]!;
    expect(message).toContain(`Nothing here can make an image of kernel ${kernel().name} for sm_90`);
    expect(message).toContain(`images compiled ahead: ${folder} holds no image of ${kernel().file}`);
    expect(message).toMatch(/; NVRTC: .*none\.so: .*; nvcc: it is not on the PATH$/);
    expect(fix).toContain("hirec compile --target cuda --fatbin");
  });

  test("HIRE-RUN-003: a source that does not compile, with its line", async () => {
    const broken = text().replace("  unsigned int ", "  oops;\n  unsigned int ");
    const line = broken.split("\n").indexOf("  oops;") + 1;
    for (const prepare of [
      () => {},
      () => {
        withoutNvrtc();
        withNvcc();
      },
    ]) {
      prepare();
      const { code, message } = await failureOf(() => find(broken));
      expect(code).toBe("HIRE-RUN-003");
      expect(message).toContain(`The CUDA compiler refuses kernel ${kernel().name} (${kernel().file}): line ${line}: `);
      expect(message).toContain("in `oops;`");
    }
  });

  describe("compiled ahead", () => {
    test("one nvcc per source, then none until a source changes; and no compiler is needed to run them", async () => {
      withNvcc();
      await write(folder, compiled.files);
      const progress: string[] = [];
      const first = await compileFatbins(folder, compiled, (done, total) => progress.push(`${done}/${total}`));
      const count = first.compiled.length;
      expect(first).toMatchObject({ compiler: "nvcc V0.0.0", unchanged: [], removed: [] });
      expect(await toolkit.calls()).toHaveLength(count);
      expect((await toolkit.calls())[0]).toContain(
        "-std=c++17 -fatbin -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_100,code=sm_100 -gencode arch=compute_90,code=compute_90 ",
      );
      expect(progress).toEqual(Array.from({ length: count + 1 }, (_, done) => `${done}/${count}`));
      expect(await compileFatbins(folder, compiled)).toMatchObject({ compiled: [], unchanged: first.compiled });

      withoutNvrtc();
      withoutNvcc();
      expect((await find()).from).toBe(join(folder, kernel().file.replace(".cu", ".fatbin")));
      expect((await find(text(), 120)).from, "by its PTX").toMatch(/\.fatbin$/);

      withNvcc();
      const changed = new Map(compiled.files).set(kernel().file, `${text()}// changed\n`);
      const again = await compileFatbins(folder, { ...compiled, files: changed });
      expect(again.compiled).toEqual([kernel().file.replace(".cu", ".fatbin")]);
      expect(again.unchanged).toHaveLength(count - 1);

      // An image that is not the one of the list is made again.
      await appendFile(join(folder, kernel().file.replace(".cu", ".fatbin")), "more");
      expect((await compileFatbins(folder, { ...compiled, files: changed })).compiled).toEqual(again.compiled);

      // They are no part of what a spec compiles to.
      const folderOf = { ...(await compareFolder(folder, compiled.files)), unchanged: [] };
      expect(folderOf).toEqual({ missing: [], stale: [], orphaned: [], unchanged: [] });

      // Of a source that is gone the image goes too.
      const [gone, ...rest] = kernels();
      const program = compiled.plan.programs[0]!;
      const plan = {
        ...compiled.plan,
        programs: [{ ...program, layers: { dense: { ...program.layers.dense!, kernels: rest } } }],
      };
      const image = gone!.file.replace(".cu", ".fatbin");
      expect(await compileFatbins(folder, { ...compiled, plan })).toMatchObject({ compiled: [], removed: [image] });
      const left = await readdir(join(folder, "cuda"));
      expect(left).not.toContain(basename(image));
      expect(left).toContain("images.json");
    });

    test.each([
      [
        "of another source",
        `was compiled from another source`,
        (list: List) => {
          list.sourceHash = "0";
        },
      ],
      [
        "of another card",
        "is not for sm_90",
        (list: List) => {
          list.capabilities = [100];
          list.ptx = 100;
        },
      ],
      [
        "that was cut off",
        "is not the image of cuda/images.json",
        (list: List) => {
          list.imageHash = "0";
        },
      ],
    ])("an image %s is never loaded", async (_, why, change) => {
      withNvcc();
      await compileFatbins(folder, compiled);
      const path = join(folder, "cuda", "images.json");
      const list = JSON.parse(await readFile(path, "utf8"));
      change(list.kernels[kernel().file]);
      await writeFile(path, JSON.stringify(list));
      expect((await find()).from).toMatch(/NVRTC/);
      withoutNvrtc();
      withoutNvcc();
      const { message } = await failureOf(() => find());
      expect(message).toContain(`${join(folder, kernel().file.replace(".cu", ".fatbin"))} ${why}`);
    });

    test("images of a tuned layer, in the folder of its profile, go with their sources; other files never go", async () => {
      withNvcc();
      await compileFatbins(folder, compiled);
      const path = join(folder, "cuda", "images.json");
      const list = JSON.parse(await readFile(path, "utf8"));
      list.kernels["cuda-sm90/gone.cu"] = { image: "cuda-sm90/gone.fatbin" };
      list.kernels["mine.cu"] = { image: "cuda/../mine.fatbin" };
      await writeFile(path, JSON.stringify(list));
      await mkdir(join(folder, "cuda-sm90"));
      for (const image of ["cuda-sm90/gone.fatbin", "mine.fatbin"]) await writeFile(join(folder, image), "");
      expect((await compileFatbins(folder, compiled)).removed).toEqual(["cuda-sm90/gone.fatbin"]);
      expect(await readdir(join(folder, "cuda-sm90"))).toEqual([]);
      expect(await readdir(folder)).toContain("mine.fatbin");
    });

    test("HIRE-RUN-011: no nvcc, or one that cannot", async () => {
      withoutNvcc();
      expect(await failureOf(() => compileFatbins(folder, compiled))).toMatchObject({
        code: "HIRE-RUN-011",
        message: expect.stringContaining("nvcc cannot be run: it is not on the PATH. Install the CUDA toolkit"),
      });
      withNvcc();
      const old = `case $1 in --version) echo V11.0.1; exit;; esac\necho "nvcc fatal   : Unsupported gpu architecture 'compute_100'" >&2; exit 1`;
      await writeFile(join(toolkit.bin, "nvcc"), `#!/bin/sh\n${old}\n`);
      const { code, message } = await failureOf(() => compileFatbins(folder, compiled));
      expect(code).toBe("HIRE-RUN-011");
      expect(message).toMatch(
        /nvcc V11\.0\.1 cannot compile cuda\/.*\.cu: nvcc fatal +: Unsupported gpu architecture 'compute_100'/,
      );
      expect(await readdir(folder), "nothing is written").not.toContain("cuda");
    });

    test("HIRE-RUN-003 and HIRE-PLAN-004: a source that nvcc refuses, and a model without CUDA", async () => {
      withNvcc();
      const broken = new Map(compiled.files).set(
        kernel().file,
        text().replace("  unsigned int ", "  oops;\n  unsigned int "),
      );
      expect((await failureOf(() => compileFatbins(folder, { ...compiled, files: broken }))).code).toBe("HIRE-RUN-003");
      const plan = { ...compiled.plan, programs: [] };
      expect((await failureOf(() => compileFatbins(folder, { ...compiled, plan }))).code).toBe("HIRE-PLAN-004");
    });
  });
});

type List = { sourceHash: string; imageHash: string; capabilities: number[]; ptx: number };
