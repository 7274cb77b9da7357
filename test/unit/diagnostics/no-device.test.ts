// Machines without what WebGPU in Node needs: the packages are replaced, the code that asks for them is not.

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Diagnostic } from "../../../runtime/errors.ts";
import { requestNodeDevice } from "../../../runtime/node/device.ts";
import { failureOf } from "./failure.ts";

interface Machine {
  /** What Dawn offers. */
  adapter: unknown;
  hasWebgpu: boolean;
  hasVulkan: boolean;
  hasSwiftShader: boolean;
}

const machine = vi.hoisted((): Machine => ({ adapter: null, hasWebgpu: true, hasVulkan: true, hasSwiftShader: true }));

vi.mock("webgpu", () => ({
  get create() {
    if (!machine.hasWebgpu) throw new Error("Cannot find package 'webgpu'");
    return () => ({ requestAdapter: async () => machine.adapter });
  },
}));
vi.mock("koffi", () => ({
  default: {
    load: () => {
      if (!machine.hasVulkan) throw new Error("libvulkan.so.1: cannot open shared object file");
    },
  },
}));
vi.mock("node:module", async (original) => {
  const real = await original<typeof import("node:module")>();
  const createRequire: typeof real.createRequire = (from) => {
    if (!machine.hasSwiftShader) throw new Error("Cannot find module '@sparticuz/chromium'\nRequire stack: …");
    return real.createRequire(from);
  };
  return { ...real, createRequire };
});

const softwareRunsHere = process.platform === "linux" && process.arch === "x64";

beforeEach(() => Object.assign(machine, { adapter: null, hasWebgpu: true, hasVulkan: true, hasSwiftShader: true }));
afterEach(() => vi.unstubAllEnvs());

async function problemOf(choice: Parameters<typeof requestNodeDevice>[0]): Promise<Diagnostic> {
  const { diagnostics } = await failureOf(() => requestNodeDevice(choice));
  expect(diagnostics).toHaveLength(1);
  return diagnostics[0]!;
}

function adapter(description: string, requestDevice: () => Promise<unknown>) {
  const info = { vendor: "acme", architecture: "one", device: "", description, isFallbackAdapter: false };
  return { info, features: new Set(), limits: { maxStorageBufferBindingSize: 1, maxBufferSize: 1 }, requestDevice };
}

describe("HIRE-RUN-001: no adapter, or none that gives a device", () => {
  const noGpu = {
    code: "HIRE-RUN-001",
    message: "No GPU was found: WebGPU offers no hardware adapter here",
    fix: "Install the GPU's Vulkan driver, or use --device software; hirec doctor shows what runs here",
  };

  test("a GPU is insisted on and there is none", async () => {
    expect(await problemOf("webgpu")).toEqual(noGpu);
  });

  test.runIf(process.platform === "linux")("a GPU is insisted on and there is no Vulkan loader", async () => {
    Object.assign(machine, { hasVulkan: false, adapter: adapter("a card", async () => ({})) });
    expect(await problemOf("webgpu")).toEqual(noGpu);
  });

  test("a software driver does not pass for a GPU", async () => {
    machine.adapter = adapter("SwiftShader Device (LLVM 10.0.0)", async () => ({}));
    expect(await problemOf("webgpu")).toEqual(noGpu);
  });

  test.runIf(softwareRunsHere)("not even the software adapter is found", async () => {
    for (const choice of ["software", "auto"] as const) {
      expect(await problemOf(choice)).toMatchObject({
        code: "HIRE-RUN-001",
        message: "WebGPU offers no adapter here, not even the software one",
      });
    }
  });

  test("the adapter refuses to give a device", async () => {
    machine.adapter = adapter("a card", async () => {
      throw new Error("the driver is out of memory");
    });
    expect(await problemOf("webgpu")).toMatchObject({
      code: "HIRE-RUN-001",
      message: "Adapter acme one gives no device: the driver is out of memory",
    });
  });
});

describe("HIRE-RUN-007: a package is missing", () => {
  test("webgpu", async () => {
    machine.hasWebgpu = false;
    for (const choice of ["auto", "webgpu", "software"] as const) {
      expect(await problemOf(choice)).toEqual({
        code: "HIRE-RUN-007",
        message: "Package webgpu cannot be loaded: Cannot find package 'webgpu'",
        fix: "Install it with: npm install webgpu",
      });
    }
  });

  test.runIf(softwareRunsHere)("@sparticuz/chromium", async () => {
    machine.hasSwiftShader = false;
    expect(await problemOf("software")).toEqual({
      code: "HIRE-RUN-007",
      message:
        "There is no software adapter: package @sparticuz/chromium is not installed (Cannot find module '@sparticuz/chromium')",
      fix: "On Linux x64, install it with: npm install @sparticuz/chromium koffi",
    });
  });

  test.runIf(softwareRunsHere)("koffi", async () => {
    machine.hasVulkan = false;
    const { code, message } = await problemOf("software");
    expect(code).toBe("HIRE-RUN-007");
    expect(message).toBe("There is no software adapter: koffi cannot load libvulkan.so.1");
  });

  test("another system than Linux x64 has no software adapter, and is told so", async () => {
    const real = Object.getOwnPropertyDescriptor(process, "platform")!;
    Object.defineProperty(process, "platform", { ...real, value: "sunos" });
    try {
      const { code, message } = await problemOf("software");
      expect(code).toBe("HIRE-RUN-007");
      expect(message).toContain("the software adapter runs on Linux x64 only, not on sunos ");
    } finally {
      Object.defineProperty(process, "platform", real);
    }
  });

  test.runIf(softwareRunsHere)("a driver that can be unpacked nowhere", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hirec-cache-"));
    const file = join(folder, "file");
    await writeFile(file, "");
    vi.stubEnv("XDG_CACHE_HOME", file);
    vi.stubEnv("TMPDIR", file);
    try {
      const { code, message } = await problemOf("software");
      expect(code).toBe("HIRE-RUN-007");
      expect(message).toMatch(/^There is no software adapter: the driver cannot be unpacked: ENOTDIR/);
      expect(await readdir(folder)).toEqual(["file"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
