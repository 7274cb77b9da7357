// A file over HTTP, read from front to back in one request, or from anywhere with another one. A request that breaks is
// made again from where it broke.

import { HireError, reasonOf } from "../errors.ts";

/** What is tried again, and the pause before, which doubles each time. */
const RETRIES = 4;
const FIRST_PAUSE_MS = 250;

export interface Download {
  /**
   * Bytes `begin` to `end - 1` of the file. Costs a request only where they do not follow on those that were read last.
   * @throws HireError HIRE-PACK-013 when they cannot be had; the signal's reason when it is aborted.
   */
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the request, when one is open. */
  close(): void;
}

/** Nothing is requested before the first `read`. */
export function openDownload(url: string, signal?: AbortSignal): Download {
  let body: Body | undefined;
  const close = () => {
    body?.cancel();
    body = undefined;
  };
  const read: Download["read"] = async (begin, end) => {
    for (let attempt = 0; ; attempt++) {
      try {
        // What has been buffered would still come.
        signal?.throwIfAborted();
        if (body?.position() !== begin) {
          close();
          body = await request(url, begin, signal);
        }
        return await body.read(end - begin);
      } catch (thrown) {
        close();
        signal?.throwIfAborted();
        if (thrown instanceof HireError) throw thrown;
        if (attempt === RETRIES) throw failed(url, begin, thrown);
        await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** attempt));
      }
    }
  };
  return { read, close };
}

/** What a server sends, from some byte of the file on. */
interface Body {
  position(): number;
  /** The next so many bytes. Throws when it ends before. */
  read(bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  cancel(): void;
}

async function request(url: string, begin: number, signal?: AbortSignal): Promise<Body> {
  const controller = new AbortController();
  const response = await fetch(url, {
    // The pack is kept in a cache of its own: the browser need not keep it once more.
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
    ...(begin > 0 && { headers: { Range: `bytes=${begin}-` } }),
  });
  if (!response.ok || !response.body) {
    controller.abort();
    const status = `the server answers with status ${response.status}`;
    // What a server says of the file stays so; what it says of itself passes.
    if (response.status >= 500 || response.status === 429) throw new Error(status);
    throw failed(url, begin, new Error(status));
  }
  const body = readFrom(response.body.getReader(), begin, controller);
  // A server that knows no ranges sends the file from its beginning.
  if (begin > 0 && response.status !== 206) await body.skip(begin);
  return body;
}

function readFrom(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  begin: number,
  controller: AbortController,
): Body & { skip(bytes: number): Promise<void> } {
  let position = begin;
  let piece = new Uint8Array();
  /** Up to so many of the next bytes. */
  const next = async (most: number) => {
    while (piece.byteLength === 0) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`it ends at byte ${position}`);
      piece = value as Uint8Array<ArrayBuffer>;
    }
    const part = piece.subarray(0, most);
    piece = piece.subarray(part.byteLength);
    return part;
  };
  return {
    position: () => position,
    read: async (count) => {
      const bytes = new Uint8Array(count);
      for (let done = 0; done < count; ) {
        const part = await next(count - done);
        bytes.set(part, done);
        done += part.byteLength;
        position += part.byteLength;
      }
      return bytes;
    },
    skip: async (count) => {
      for (let left = count; left > 0; ) left -= (await next(left)).byteLength;
    },
    cancel: () => controller.abort(),
  };
}

function failed(url: string, begin: number, cause: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-PACK-013",
      message: `${url} cannot be downloaded from byte ${begin} on: ${reasonOf(cause)}`,
      fix: "Check the address and the connection, and load again: what has arrived is kept",
    },
    { cause },
  );
}
