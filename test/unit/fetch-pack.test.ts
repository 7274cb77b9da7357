// Packs over HTTP, with the servers, connections and storage that there are. test/browser has the real Cache API.

import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { compileModel } from "../../compiler/index.ts";
import { defineModel, dense, softmax } from "../../dsl/index.ts";
import { readPieces, readWeights } from "../../runtime/layer.ts";
import { openPack, packModel } from "../../runtime/node/pack-file.ts";
import { writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import { CHUNK_BYTES } from "../../runtime/pack/content.ts";
import {
  type FetchedPack,
  type FetchPackOptions,
  type FetchProgress,
  fetchPack,
} from "../../runtime/web/fetch-pack.ts";
import { dropKept } from "../../runtime/web/kept-pack.ts";
import { type Entries, installCaches } from "../web/memory-caches.ts";
import { type PackServer, servePack } from "../web/pack-server.ts";

/** 3.2 MB, four chunks of which the last is not whole; tensors begin and end within chunks. */
const shape = { inputs: 250, dtype: "bf16", k: 4, estimator: dense() } as const;
const { plan } = compileModel(
  defineModel("tiny", {
    head: softmax({ ...shape, rows: 5000, weight: "a" }),
    draft: softmax({ ...shape, rows: 1401, weight: "b" }),
  }),
);
const tensors = Object.values(plan.layers).flatMap((layer) => layer.tensors);

let folder: string;
let file: Uint8Array;
let digest: string;
/** The tensors as they are read from disk. */
let wanted: Uint8Array[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-fetch-"));
  const weight = (name: string, rows: number, seed: number) => ({
    name,
    dtype: "BF16" as const,
    shape: [rows, shape.inputs],
    bytes: () => Uint8Array.from({ length: rows * shape.inputs * 2 }, (_, i) => (i * seed + (i >> 9)) % 64),
  });
  await writeSafetensors(join(folder, "w"), [weight("a", 5000, 7), weight("b", 1401, 11)], {}, "HIRE-PACK-008");
  ({ digest } = await packModel(plan, [join(folder, "w")], join(folder, "tiny.pack")));
  file = await readFile(join(folder, "tiny.pack"));
  const pack = await openPack(join(folder, "tiny.pack"), plan);
  wanted = await Promise.all(tensors.map((tensor) => readWeights(pack.weights, tensor)));
  await pack.close();
});
afterAll(() => rm(folder, { recursive: true }));

let server: PackServer;
let kept: Map<string, Entries>;
beforeEach(async () => {
  server = await servePack(file);
  kept = installCaches();
});
afterEach(async () => {
  vi.restoreAllMocks();
  Object.assign(globalThis, { caches: undefined });
  await server.close();
});

const open = (options: FetchPackOptions = {}) => fetchPack(server.url, plan, options);
async function expectWhole({ weights }: FetchedPack, which = tensors): Promise<void> {
  for (const tensor of which) {
    const found = await readWeights(weights, tensor);
    expect(Buffer.compare(found, wanted[tensors.indexOf(tensor)]!)).toBe(0);
  }
}
/** @returns whether any request from now on is still open. */
function watchRequests(): () => boolean {
  const requests = vi.spyOn(globalThis, "fetch");
  return () => requests.mock.calls.some(([, options]) => !options!.signal!.aborted);
}
const dataStart = () => file.byteLength - wanted.reduce((sum, { byteLength }) => sum + byteLength, 0);

test("a pack arrives in one request, in pieces of at most a chunk, and is known by its digest", async () => {
  const pack = await open();
  expect(pack.digest).toBe(digest);
  await expectWhole(pack);
  expect(server.requests).toEqual([0]);
  for await (const piece of readPieces(pack.weights, tensors[0]!)) {
    expect(piece.byteLength).toBeLessThanOrEqual(CHUNK_BYTES);
  }
});

test("the digest is the SHA-256 of what lies in front of the data, which holds that of each MiB behind", () => {
  const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  const header = Buffer.from(file.subarray(0, dataStart()));
  expect(hash(header)).toBe(digest);
  const count = Math.ceil((file.byteLength - dataStart()) / 2 ** 20);
  for (let chunk = 0; chunk < count; chunk++) {
    const begin = dataStart() + chunk * 2 ** 20;
    expect(header.includes(hash(file.subarray(begin, begin + 2 ** 20)))).toBe(true);
  }
});

test("nothing is read far ahead of what is used", async () => {
  let sent = 0;
  const real = globalThis.fetch;
  globalThis.fetch = async (...given) => {
    const response = await real(...given);
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform: (piece, controller) => {
        sent += piece.byteLength;
        controller.enqueue(piece);
      },
    });
    return new Response(response.body!.pipeThrough(counted), response);
  };
  try {
    const { weights } = await open({ keep: false });
    let used = 0;
    for await (const piece of readPieces(weights, tensors[0]!)) {
      used += piece.byteLength;
      await new Promise((resolve) => setTimeout(resolve, 20));
      // One chunk is in use, and what the streams between hold is not larger than another.
      expect(sent - dataStart() - used).toBeLessThan(2 * CHUNK_BYTES);
    }
  } finally {
    globalThis.fetch = real;
  }
});

test("progress counts each chunk once, up to all of them", async () => {
  const seen: FetchProgress[] = [];
  const pack = await open({ onProgress: (progress) => seen.push(progress) });
  await expectWhole(pack);
  await expectWhole(pack);
  const total = file.byteLength - dataStart();
  expect(seen.map(({ loaded }) => loaded)).toEqual([1, 2, 3, 4].map((n) => Math.min(n * CHUNK_BYTES, total)));
  expect(seen.at(-1)).toEqual({ loaded: total, total, kept: 0 });
});

test("two layers may be read at the same time, and take turns", async () => {
  const { weights } = await open();
  const found = await Promise.all(tensors.map((tensor) => readWeights(weights, tensor)));
  expect(found.map((bytes, i) => Buffer.compare(bytes, wanted[i]!))).toEqual(tensors.map(() => 0));
  // The third chunk is of both.
  expect(server.requests).toEqual([0, ...[2, 1, 3].map((chunk) => dataStart() + chunk * CHUNK_BYTES)]);
});

describe("what has been loaded once is kept", () => {
  test("and read without the server where the digest is known", async () => {
    await expectWhole(await open());
    await server.close();
    const progress: FetchProgress[] = [];
    const pack = await open({ digest, onProgress: (each) => progress.push(each) });
    await expectWhole(pack);
    expect(progress.at(-1)!.kept).toBe(progress.at(-1)!.total);
    expect(server.requests).toEqual([0]);
  });

  test("and only the header is asked for where it is not", async () => {
    await expectWhole(await open());
    server.faults = { cut: () => dataStart() };
    await expectWhole(await open());
    expect(server.requests).toEqual([0, 0]);
  });

  test("also when only some of the layers were loaded: the rest follows from there", async () => {
    const anyOpen = watchRequests();
    const first = await open();
    await expectWhole(first, tensors.slice(0, 1));
    expect(anyOpen()).toBe(true);
    first.close();
    expect(anyOpen()).toBe(false);
    await expectWhole(await open({ digest }));
    expect(server.requests).toEqual([0, dataStart() + 3 * CHUNK_BYTES]);
  });

  test("unless the caller keeps nothing, or the browser has no caches", async () => {
    await expectWhole(await open({ keep: false }));
    expect(kept.size).toBe(0);
    Object.assign(globalThis, { caches: undefined });
    await expectWhole(await open());
    await expectWhole(await open({ digest }));
    expect(server.requests).toEqual([0, 0, 0]);
  });

  test("and is checked like what is sent: a damaged entry is fetched again and mended", async () => {
    await expectWhole(await open());
    const [entries] = kept.values();
    entries!.get("https://pack.invalid/1")![77]! ^= 1;
    entries!.get("https://pack.invalid/header")![30]! ^= 1;
    const anyOpen = watchRequests();
    await expectWhole(await open({ digest }));
    // All behind it is kept.
    expect(anyOpen()).toBe(false);
    expect(server.requests).toEqual([0, 0, dataStart() + CHUNK_BYTES]);
    await expectWhole(await open({ digest }));
    expect(server.requests).toHaveLength(3);
  });

  test("until another pack comes under its name, or it is dropped", async () => {
    await expectWhole(await open());
    await expectWhole(await open({ keep: "tiny and more" }));
    const [old] = [...kept.keys()];
    const name = join(folder, "other.pack");
    const changed = {
      name: "a",
      dtype: "BF16" as const,
      shape: [5000, 250],
      bytes: () => new Uint8Array(2_500_000).fill(1),
    };
    const same = { name: "b", dtype: "BF16" as const, shape: [1401, 250], bytes: () => new Uint8Array(700_500) };
    await writeSafetensors(join(folder, "v"), [changed, same], {}, "HIRE-PACK-008");
    const other = await packModel(plan, [join(folder, "v")], name);
    server.file = await readFile(name);
    expect((await open()).digest).toBe(other.digest);
    expect(kept.has(old!)).toBe(false);
    expect([...kept.keys()]).toEqual([`hirec tiny%20and%20more ${digest}`, `hirec tiny ${other.digest}`]);
    await dropKept("tiny");
    expect([...kept.keys()]).toEqual([`hirec tiny%20and%20more ${digest}`]);
  });

  test("as far as there is room", async () => {
    const [store] = [globalThis.caches];
    const openCache = store.open.bind(store);
    store.open = async (name) => {
      const cache = await openCache(name);
      return { ...cache, put: () => Promise.reject(new DOMException("full", "QuotaExceededError")) };
    };
    await expectWhole(await open());
    await expectWhole(await open({ digest }));
    expect(server.requests).toEqual([0, 0]);
  });
});

describe("a download that breaks", () => {
  test("goes on at the chunk at which it broke", async () => {
    const cuts = [dataStart() + 1.5 * CHUNK_BYTES, 10];
    server.faults = { cut: () => cuts.shift() };
    await expectWhole(await open());
    const second = dataStart() + CHUNK_BYTES;
    expect(server.requests).toEqual([0, second, second]);
  });

  test("goes on in the next visit, with what had arrived", async () => {
    server.faults = { cut: () => dataStart() + 2.5 * CHUNK_BYTES };
    const controller = new AbortController();
    const progress = ({ loaded }: FetchProgress) => loaded === 2 * CHUNK_BYTES && controller.abort(new Error("closed"));
    const broken = await open({ signal: controller.signal, onProgress: progress });
    await expect(expectWhole(broken)).rejects.toThrow("closed");
    server.faults = {};
    await expectWhole(await open({ digest }));
    expect(server.requests.at(-1)).toBe(dataStart() + 2 * CHUNK_BYTES);
  });

  test("goes on where a server knows no ranges", async () => {
    const cuts = [dataStart() + 1.5 * CHUNK_BYTES];
    server.faults = { cut: () => cuts.shift(), noRanges: true };
    await expectWhole(await open());
    expect(server.requests).toHaveLength(2);
  });

  test("is tried again when the server is busy", async () => {
    const answers = [503, 429];
    server.faults = { status: () => answers.shift() };
    await expectWhole(await open());
    expect(server.requests).toEqual([0, 0, 0]);
  });

  test("ends with the caller's reason when it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(open({ signal })).rejects.toThrow("enough");
  });
});

test("bytes that were damaged on their way once are asked for again", async () => {
  let times = 0;
  server.faults = {
    damage: (bytes) => {
      if (times++ === 0) bytes[dataStart() + 5]! ^= 1;
      return bytes;
    },
  };
  await expectWhole(await open());
  expect(server.requests).toEqual([0, dataStart()]);
});

test("bytes that stay damaged are refused, and the request is ended", async () => {
  server.faults = {
    damage: (bytes) => {
      bytes[dataStart() + 5]! ^= 1;
      return bytes;
    },
  };
  const anyOpen = watchRequests();
  await expect(expectWhole(await open())).rejects.toThrow("HIRE-PACK-012");
  expect(server.requests).toEqual([0, dataStart()]);
  expect(anyOpen()).toBe(false);
});
