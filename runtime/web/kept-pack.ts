// Packs that the browser keeps: a cache of the Cache API for each, with an entry per chunk. It works in windows and workers
// alike, an interrupted download leaves the chunks that have arrived, and a pack is dropped with one call. (The origin's
// private file system would do as well, but writes in place only from dedicated workers.)

/** What is kept of one pack. Nothing that it returns has been checked. */
export interface KeptPack {
  get(entry: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Storage that is full or refused is no error: then the entry is not kept. */
  put(entry: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/**
 * The pack of this digest, when there is one under this name. Undefined also where the browser offers no caches, as in some
 * private windows.
 */
export async function findKept(name: string, digest: string): Promise<KeptPack | undefined> {
  const cache = cacheName(name, digest);
  return attempt(async () => ((await caches.has(cache)) ? keptIn(await caches.open(cache)) : undefined));
}

/** The place of a pack, which is made when there is none. Other packs of this name are dropped. */
export async function keepOnly(name: string, digest: string): Promise<KeptPack | undefined> {
  return attempt(async () => {
    const others = (await caches.keys()).filter((each) => each.startsWith(cacheName(name, "")));
    for (const other of others) if (other !== cacheName(name, digest)) await caches.delete(other);
    return keptIn(await caches.open(cacheName(name, digest)));
  });
}

/** Drops every pack that is kept under a name. */
export async function dropKept(name: string): Promise<void> {
  await attempt(async () => {
    for (const each of await caches.keys()) if (each.startsWith(cacheName(name, ""))) await caches.delete(each);
  });
}

function cacheName(name: string, digest: string): string {
  return `hirec ${encodeURIComponent(name)} ${digest}`;
}

function keptIn(cache: Cache): KeptPack {
  // Keys of caches are addresses. Nobody can be asked for these: .invalid is reserved (RFC 2606).
  const address = (entry: string) => `https://pack.invalid/${entry}`;
  return {
    get: (entry) =>
      attempt(async () => {
        const response = await cache.match(address(entry));
        return response && new Uint8Array(await response.arrayBuffer());
      }),
    put: async (entry, bytes) => {
      await attempt(() => cache.put(address(entry), new Response(bytes)));
    },
  };
}

/** What storage refuses is as if it were not there. */
async function attempt<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}
