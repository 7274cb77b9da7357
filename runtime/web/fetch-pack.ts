// A pack over HTTP: checked chunk by chunk while it streams, kept by the browser, and never whole in memory.

import { HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import { type PackChunk, packChunks, sha256 } from "../pack/content.ts";
import { checkPack } from "../pack/read-pack.ts";
import type { Plan } from "../plan.ts";
import { headerLength, PREFIX_BYTES, parseHeader } from "../safetensors.ts";
import { type Download, openDownload } from "./download.ts";
import { findKept, type KeptPack, keepOnly } from "./kept-pack.ts";

export interface FetchPackOptions {
  /**
   * The digest that `hirec pack` printed. With it, the server is trusted for nothing, and a pack that is kept is loaded
   * without asking the server. Without it, each load asks for the header and believes it.
   */
  readonly digest?: string;
  /**
   * The name under which the browser keeps the pack, and drops others that were kept under it. Default: the model's name.
   * `false` keeps nothing.
   */
  readonly keep?: string | false;
  /** Ends the download. */
  readonly signal?: AbortSignal;
  /** Called whenever a chunk of the pack is there for the first time. */
  readonly onProgress?: (progress: FetchProgress) => void;
}

export interface FetchProgress {
  /** Bytes of weights that are there and checked, of all that the pack has. */
  readonly loaded: number;
  readonly total: number;
  /** Those of `loaded` that the browser had kept. */
  readonly kept: number;
}

export interface FetchedPack {
  /** SHA-256 of the header, in hexadecimal, which pins every byte of the pack. */
  readonly digest: string;
  /** The tensors in pieces of at most 1 MiB, which are fetched as they are asked for. May be read again and again. */
  readonly weights: WeightSource;
  /** Ends the request, when one is still open because not all layers were loaded. The weights can still be read. */
  close(): void;
}

/**
 * Opens a pack. Only its header is read here; the rest comes as a loader asks for it, in one request, of which each chunk
 * of 1 MiB is checked, kept and passed on before the next. A request that breaks goes on where it broke, also in the next
 * visit. What is kept is checked like what is sent.
 * @param url absolute, or relative to the page or worker.
 * @throws HireError HIRE-PACK-002, -006 and -007 when it is no pack of this plan, HIRE-PACK-012 when it has another digest,
 * HIRE-PACK-013 when it cannot be downloaded, HIRE-RUN-022 in a page that is no secure context. The weights throw the last
 * three as well, and HIRE-PACK-012 for bytes that are not those that were packed.
 */
export async function fetchPack(
  url: string | URL,
  plan: Plan,
  { digest: wanted, keep = plan.model, signal, onProgress }: FetchPackOptions = {},
): Promise<FetchedPack> {
  const from = String(url);
  const download = openDownload(from, signal);
  try {
    const { bytes, digest } = await fetchHeader(download, from, wanted, keep);
    const header = parseHeader(bytes.subarray(PREFIX_BYTES), Number.POSITIVE_INFINITY, from);
    checkPack(header, plan, from);
    const chunks = packChunks(header, bytes.byteLength, from);
    const kept = keep === false ? undefined : await keepOnly(keep, digest);
    await kept?.put("header", bytes);
    const readChunk = chunkReader(from, chunks, download, kept, onProgress);
    return {
      digest,
      weights: ({ name }) => readRange(header.tensors.get(name)!, chunks, readChunk),
      close: download.close,
    };
  } catch (thrown) {
    download.close();
    throw thrown;
  }
}

/** Everything in front of the data: what is kept when the caller knows which pack it wants, or what the server sends. */
async function fetchHeader(download: Download, from: string, wanted: string | undefined, keep: string | false) {
  if (wanted !== undefined && keep !== false) {
    const bytes = await (await findKept(keep, wanted))?.get("header");
    if (bytes && (await sha256(bytes)) === wanted) return { bytes, digest: wanted };
  }
  const prefix = await download.read(0, PREFIX_BYTES);
  const end = PREFIX_BYTES + headerLength(prefix, Number.POSITIVE_INFINITY, from);
  const bytes = new Uint8Array(end);
  bytes.set(prefix);
  bytes.set(await download.read(PREFIX_BYTES, end), PREFIX_BYTES);
  const digest = await sha256(bytes);
  if (wanted === undefined || digest === wanted) return { bytes, digest };
  throw new HireError({
    code: "HIRE-PACK-012",
    message: `${from} is another pack than was asked for: its digest is ${digest}, not ${wanted}`,
    fix: "Take the digest that `hirec pack` printed for this file, or put the file there that has it",
  });
}

type ChunkReader = (index: number) => Promise<Uint8Array>;

/** One chunk at a time, whoever asks: there is one request, and memory for one. */
function chunkReader(
  from: string,
  chunks: readonly PackChunk[],
  download: Download,
  kept: KeptPack | undefined,
  onProgress: FetchPackOptions["onProgress"],
): ChunkReader {
  const report = progressOf(chunks, onProgress);
  let last: { readonly index: number; readonly bytes: Uint8Array } | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const read: ChunkReader = async (index) => {
    if (last?.index === index) return last.bytes;
    const chunk = chunks[index]!;
    let bytes = await kept?.get(String(index));
    const isKept = bytes !== undefined && (await sha256(bytes)) === chunk.sha256;
    if (bytes && isKept) {
      // What follows is most likely kept as well.
      download.close();
    } else {
      bytes = await fetchChunk(from, chunk, download);
      await kept?.put(String(index), bytes);
    }
    last = { index, bytes };
    report(index, isKept);
    return bytes;
  };
  return (index) => {
    const mine = turn.then(() => read(index));
    turn = mine.catch(() => undefined);
    return mine;
  };
}

/** A chunk that is not what was packed is asked for once more: what lies between may have been at fault. */
async function fetchChunk(from: string, { begin, end, sha256: wanted }: PackChunk, download: Download) {
  for (let attempt = 0; attempt < 2; attempt++) {
    const bytes = await download.read(begin, end);
    if ((await sha256(bytes)) === wanted) return bytes;
  }
  download.close();
  throw new HireError({
    code: "HIRE-PACK-012",
    message: `${from} is damaged: bytes ${begin} to ${end - 1} are not those that were packed`,
    fix: "Upload the pack again, whole; when it was replaced in this moment, load the page again",
  });
}

function progressOf(chunks: readonly PackChunk[], onProgress: FetchPackOptions["onProgress"]) {
  const total = chunks.reduce((sum, { begin, end }) => sum + end - begin, 0);
  const seen = new Set<number>();
  let [loaded, kept] = [0, 0];
  return (index: number, isKept: boolean) => {
    if (seen.has(index)) return;
    seen.add(index);
    const bytes = chunks[index]!.end - chunks[index]!.begin;
    loaded += bytes;
    if (isKept) kept += bytes;
    onProgress?.({ loaded, total, kept });
  };
}

/** The bytes of a tensor, as parts of the chunks that hold them. */
async function* readRange(
  { begin, end }: { readonly begin: number; readonly end: number },
  chunks: readonly PackChunk[],
  read: ChunkReader,
): AsyncGenerator<Uint8Array> {
  for (const [index, chunk] of chunks.entries()) {
    if (chunk.end <= begin || chunk.begin >= end) continue;
    const bytes = await read(index);
    yield bytes.subarray(Math.max(0, begin - chunk.begin), Math.min(bytes.byteLength, end - chunk.begin));
  }
}
