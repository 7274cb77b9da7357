// Runs work again whenever one of the files that it read has changed. Files are looked at ten times a second, as esbuild
// does: editors save by rename, delete and write anew, and tools write through mounts that send no events; what lies at a
// path says it all, and a look at some dozen paths takes less than a millisecond.

import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const LOOK_EVERY_MS = 100;
/** A save is over when nothing has changed for this long; a file that is gone gets longer to come back. */
const SETTLED_MS = 30;
const GONE_MS = 250;

/** Says that work depends on what lies at a path, or that nothing does. To be called before the path is read. */
export type DependOn = (path: string) => void;

/**
 * Runs each piece of work once, then again after each change of what it depends on, until the signal.
 * @param works say what they depend on also when they fail; what they throw ends everything.
 */
export async function rerunOnChange(
  works: readonly ((dependOn: DependOn) => Promise<void>)[],
  signal: AbortSignal,
  onReady: (paths: ReadonlySet<string>) => Promise<void>,
): Promise<void> {
  const states: Map<string, string>[] = works.map(() => new Map());
  const run = async (index: number) => {
    const seen = new Map<string, string>();
    await works[index]!((path) => {
      if (!seen.has(path)) seen.set(path, stateOf(path));
    });
    states[index] = seen;
  };
  for (const index of works.keys()) {
    if (!signal.aborted) await run(index);
  }
  if (!signal.aborted) await onReady(new Set(states.flatMap((state) => [...state.keys()])));
  while (!signal.aborted) {
    for (const index of works.keys()) {
      if (signal.aborted || !hasChanged(states[index]!)) continue;
      await settle(states[index]!, signal);
      if (!signal.aborted) await run(index);
    }
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function hasChanged(states: ReadonlyMap<string, string>): boolean {
  for (const [path, state] of states) {
    if (stateOf(path) !== state) return true;
  }
  return false;
}

/** Waits until nothing changes any more, and what was there had time to come back. */
async function settle(last: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
  const look = () => new Map([...last.keys()].map((path) => [path, stateOf(path)]));
  const begun = performance.now();
  let before = look();
  while (!signal.aborted) {
    await delay(SETTLED_MS, undefined, { signal }).catch(() => undefined);
    const now = look();
    const paths = [...now.keys()];
    const isWhole = paths.every((path) => now.get(path) !== ABSENT || last.get(path) === ABSENT);
    const isStill = paths.every((path) => now.get(path) === before.get(path));
    if (isStill && (isWhole || performance.now() - begun > GONE_MS)) return;
    before = now;
  }
}

const ABSENT = "absent";

/** What lies at a path, short of its contents. */
function stateOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs}`;
  } catch {
    return ABSENT;
  }
}
