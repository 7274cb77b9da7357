// What a page is told when its model cannot be fetched, or the browser does not offer what it needs.

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, softmax } from "../../../dsl/index.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";
import { type NodeDevice, requestNullDevice } from "../../../runtime/node/device.ts";
import { blankHashes, contentMetadata, sha256 } from "../../../runtime/pack/content.ts";
import { packMetadata } from "../../../runtime/pack/read-pack.ts";
import { encodeHeader, tensorBytes } from "../../../runtime/safetensors.ts";
import { fetchCompiled } from "../../../runtime/web/fetch-compiled.ts";
import { fetchPack } from "../../../runtime/web/fetch-pack.ts";
import { bindSpec } from "../../../runtime/webgpu/bind-spec.ts";
import { loadModel } from "../../../runtime/webgpu/model.ts";
import { requestDevice } from "../../../runtime/webgpu/request-device.ts";
import { type Listening, listen } from "../../web/listen.ts";
import { failureOf } from "./failure.ts";

const head = softmax({ inputs: 4, rows: 4, weight: "w", estimator: dense(), k: 1 });
const { plan, files } = compileModel(defineModel("tiny", { head }));
const { tensors } = plan.layers.head!;

/** What the server has; a number is the status that it answers with. */
const served = new Map<string, Uint8Array | string | number>();
let server: Listening;
let base: string;
beforeAll(async () => {
  server = await listen(({ url }, response) => {
    const found = served.get(url!) ?? 404;
    if (typeof found === "number") response.writeHead(found).end();
    else response.end(found);
  });
  base = server.origin;
});
afterAll(() => server.close());

async function problemOf(work: () => unknown): Promise<Diagnostic> {
  const { diagnostics } = await failureOf(work);
  expect(diagnostics).toHaveLength(1);
  return diagnostics[0]!;
}

describe("a pack that is fetched", () => {
  const data = new Uint8Array(tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0));
  const pack = async (metadata: Record<string, string>) => {
    const header = encodeHeader(tensors, { ...packMetadata(plan), ...metadata });
    served.set("/tiny.pack", Buffer.concat([header, data]));
    return header;
  };
  const problem = async (options = {}) => problemOf(() => load(options));
  const load = async (options = {}) => {
    const { weights } = await fetchPack(`${base}/tiny.pack`, plan, options);
    for (const tensor of tensors) for await (const _ of weights(tensor) as AsyncIterable<Uint8Array>);
  };

  test("loads when it is whole", async () => {
    await pack(contentMetadata([await sha256(data)]));
    await load();
  });

  test("HIRE-PACK-002 where the server sends its page for what it does not have", async () => {
    served.set("/tiny.pack", "<!doctype html><title>Not found</title>");
    expect(await problem()).toMatchObject({
      code: "HIRE-PACK-002",
      message: expect.stringMatching(
        /tiny\.pack is not a whole safetensors file: its first 8 bytes promise a header of \d+ bytes, where at most 100000000 can be$/,
      ),
    });
  });

  test("HIRE-PACK-006 for another plan, before any weights", async () => {
    await pack({ ...contentMetadata(blankHashes(data.byteLength)), hirec_pack: "0" });
    expect((await problem()).code).toBe("HIRE-PACK-006");
  });

  test.each([
    ["no hashes", {}],
    ["chunks of another size", { ...contentMetadata(blankHashes(1)), hirec_chunk_bytes: "4096" }],
    ["too few hashes", contentMetadata([])],
  ])("HIRE-PACK-007 when it has %s", async (_, metadata) => {
    await pack(metadata);
    expect(await problem()).toMatchObject({
      code: "HIRE-PACK-007",
      message: `${base}/tiny.pack does not hold the hashes by which this hirec checks a download`,
    });
  });

  test("HIRE-PACK-012 when bytes are not those that were packed", async () => {
    await pack(contentMetadata(blankHashes(data.byteLength)));
    expect(await problem()).toMatchObject({
      code: "HIRE-PACK-012",
      message: expect.stringMatching(/tiny\.pack is damaged: bytes \d+ to \d+ are not those that were packed$/),
    });
  });

  test("HIRE-PACK-012 when its digest is not the one that is asked for", async () => {
    const header = await pack(contentMetadata([await sha256(data)]));
    const digest = await sha256(header);
    await load({ digest });
    const wanted = digest.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    expect(await problem({ digest: wanted })).toMatchObject({
      code: "HIRE-PACK-012",
      message: `${base}/tiny.pack is another pack than was asked for: its digest is ${digest}, not ${wanted}`,
    });
  });

  test("HIRE-PACK-013 at once when the server does not have it", async () => {
    served.delete("/tiny.pack");
    expect(await problem()).toMatchObject({
      code: "HIRE-PACK-013",
      message: `${base}/tiny.pack cannot be downloaded from byte 0 on: the server answers with status 404`,
    });
  });

  test("HIRE-PACK-013 when it ends too early, again and again", async () => {
    await pack(contentMetadata([await sha256(data)]));
    served.set("/tiny.pack", (served.get("/tiny.pack") as Uint8Array).subarray(0, -1));
    const real = globalThis.setTimeout;
    const hasten = (work: () => void, delay?: number, ...given: unknown[]) =>
      real(work, [250, 500, 1000, 2000].includes(delay!) ? 1 : delay, ...given);
    const waits = vi.spyOn(globalThis, "setTimeout").mockImplementation(hasten as never);
    const { code, message } = await problem().finally(() => waits.mockRestore());
    expect(code).toBe("HIRE-PACK-013");
    expect(message).toMatch(/cannot be downloaded from byte \d+ on: it ends at byte \d+$/);
  });

  test("HIRE-RUN-022 in a page without WebCrypto", async () => {
    await pack(contentMetadata([await sha256(data)]));
    vi.stubGlobal("crypto", {});
    expect((await problem().finally(() => vi.unstubAllGlobals())).code).toBe("HIRE-RUN-022");
  });
});

describe("a compiled model that is fetched", () => {
  let node: NodeDevice;
  beforeAll(async () => {
    node = await requestNullDevice();
    for (const [file, text] of files) served.set(`/tiny/${file}`, text);
  });
  afterAll(() => node.close());

  const weights = ({ bytes }: { bytes: number }) => new Uint8Array(bytes);
  const load = async () => loadModel(node.device, await fetchCompiled(`${base}/tiny/`), weights);

  test("loads the kernels of one profile", async () => {
    const model = await load();
    expect(Object.keys(model.layers)).toEqual(["head"]);
    model.destroy();
  });

  test.each([
    ["is not there", 404, /plan\.json cannot be read as part of a compiled model: the server answers with status 404$/],
    ["is a page", "<!doctype html>", /plan\.json cannot be read as part of a compiled model: Unexpected token/],
    ["is no plan", "{}", /plan\.json is not a hirec plan: it has no format number$/],
  ])("HIRE-PLAN-008 when plan.json %s", async (_, text, message) => {
    served.set("/tiny/plan.json", text);
    const problem = await problemOf(load);
    served.set("/tiny/plan.json", files.get("plan.json")!);
    expect(problem).toMatchObject({ code: "HIRE-PLAN-008", message: expect.stringMatching(message) });
  });

  test("HIRE-PLAN-008 when a kernel is not there", async () => {
    const kernel = [...files.keys()].find((file) => file.startsWith("webgpu-subgroups/"))!;
    served.delete(`/tiny/${kernel}`);
    expect(await problemOf(load)).toMatchObject({
      code: "HIRE-PLAN-008",
      message: expect.stringContaining(`/tiny/${kernel} cannot be read`),
    });
  });
});

describe("a spec that a bundler imported", () => {
  const model = defineModel("tiny", { head });
  const imported = { plan: JSON.parse(files.get("plan.json")!), sources: Object.fromEntries(files) };

  test("is the compiled model, with everything that its types promise", async () => {
    const node = await requestNullDevice();
    const { plan: bound, load } = bindSpec(imported as unknown as typeof model);
    const loaded = await load(node.device, ({ bytes }) => new Uint8Array(bytes), { layers: ["head"] });
    const { k, tokens, indices } = await loaded.layers.head.run(new Float32Array(8));
    expect([bound.model, k, tokens, indices.length]).toEqual(["tiny", 1, 2, 2]);
    loaded.destroy();
    node.close();
  });

  test("HIRE-RUN-023 when it was not compiled", async () => {
    expect((await problemOf(() => bindSpec(model))).code).toBe("HIRE-RUN-023");
  });

  test("HIRE-PLAN-005 when it was compiled by another version", async () => {
    const old = { ...imported, plan: { ...plan, format: 0 } } as unknown as typeof model;
    expect((await problemOf(() => bindSpec(old))).code).toBe("HIRE-PLAN-005");
  });
});

describe("a device for a model", () => {
  const { limits } = plan.programs.at(-1)!;
  const adapter = (offers: object) => ({
    features: new Set(),
    limits,
    requestDevice: async (descriptor: GPUDeviceDescriptor) => descriptor,
    ...offers,
  });
  const gpuWith = (offered: unknown) => ({ requestAdapter: async () => offered }) as unknown as GPU;

  test("has what the best profile needs that the adapter has, and what the page asks for", async () => {
    const request = async (offers: object, options = {}) =>
      (await requestDevice(plan, { gpu: gpuWith(adapter(offers)), ...options })) as unknown as GPUDeviceDescriptor;
    expect(await request({})).toMatchObject({ label: "tiny", requiredFeatures: [], requiredLimits: limits });
    const features = new Set(["subgroups", "timestamp-query"]);
    const device = await request(
      { features },
      {
        requiredFeatures: ["timestamp-query"],
        requiredLimits: { maxBindGroups: 5, maxStorageBuffersPerShaderStage: 1 },
      },
    );
    expect(device.requiredFeatures).toEqual(["subgroups", "timestamp-query"]);
    expect(device.requiredLimits).toEqual({ ...plan.programs[0]!.limits, maxBindGroups: 5 });
    expect((await request({ features }, { profile: "webgpu-default" })).requiredFeatures).toEqual([]);
  });

  test("HIRE-RUN-001 where there is no WebGPU, no adapter or no device", async () => {
    vi.stubGlobal("navigator", {});
    expect(await problemOf(() => requestDevice(plan)).finally(() => vi.unstubAllGlobals())).toMatchObject({
      code: "HIRE-RUN-001",
      message: "There is no WebGPU here",
    });
    const message = "WebGPU offers no adapter here: the browser does not trust the GPU's driver, or there is no GPU";
    expect(await problemOf(() => requestDevice(plan, { gpu: gpuWith(null) }))).toMatchObject({
      code: "HIRE-RUN-001",
      message,
    });
    const refusing = adapter({ requestDevice: () => Promise.reject(new Error("consumed")) });
    expect(await problemOf(() => requestDevice(plan, { gpu: gpuWith(refusing) }))).toMatchObject({
      code: "HIRE-RUN-001",
      message: "The adapter gives no device: consumed",
    });
  });

  test("HIRE-RUN-006 where the adapter suits no program", async () => {
    const weak = adapter({ limits: { ...limits, maxComputeInvocationsPerWorkgroup: 1 } });
    expect((await problemOf(() => requestDevice(plan, { gpu: gpuWith(weak) }))).code).toBe("HIRE-RUN-006");
  });

  test("HIRE-RUN-022 in a page that is no secure context", async () => {
    vi.stubGlobal("navigator", {});
    vi.stubGlobal("isSecureContext", false);
    expect((await problemOf(() => requestDevice(plan)).finally(() => vi.unstubAllGlobals())).code).toBe("HIRE-RUN-022");
  });
});
