// The part of the Cache API that the runtime uses, in memory. Node has none.

export type Entries = Map<string, Uint8Array<ArrayBuffer>>;

/** @returns the entries of every cache by its name, to look at and to spoil. */
export function installCaches(): Map<string, Entries> {
  const all = new Map<string, Entries>();
  const opened = (entries: Entries) => ({
    match: async (key: string) => (entries.has(key) ? new Response(entries.get(key)!) : undefined),
    put: async (key: string, response: Response) => {
      entries.set(key, new Uint8Array(await response.arrayBuffer()));
    },
  });
  const caches = {
    has: async (name: string) => all.has(name),
    keys: async () => [...all.keys()],
    delete: async (name: string) => all.delete(name),
    open: async (name: string) => {
      if (!all.has(name)) all.set(name, new Map());
      return opened(all.get(name)!);
    },
  };
  Object.assign(globalThis, { caches });
  return all;
}
