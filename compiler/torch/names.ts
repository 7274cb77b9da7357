// Names of the classes of a package.

/** What a package exports or imports besides its layers, and the words of Python that begin with a capital letter. */
const TAKEN = [
  ..."Dict HireError LAYERS LMHead Layer NamedTuple Optional ShardedFeedForward ShardedHead SparseMLP Type".split(" "),
  ..."False None True".split(" "),
];

/**
 * `mlp0` becomes `Mlp0` and `draft_head` `DraftHead`. Where that is taken, or is the name of another layer's class or
 * result, a number follows.
 */
export function classNames(layers: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(TAKEN);
  const names = new Map<string, string>();
  for (const layer of layers) {
    const name = layer.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
    let free = name;
    for (let i = 2; taken.has(free) || taken.has(`${free}Result`); i++) free = `${name}_${i}`;
    taken.add(free).add(`${free}Result`);
    names.set(layer, free);
  }
  return names;
}
