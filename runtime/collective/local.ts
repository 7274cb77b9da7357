// Shards of one process, such as one per device: participants meet in memory. It needs nothing of Node.

import type { HireError } from "../errors.ts";
import { type Call, inOrder, isSameCall } from "./calls.ts";
import type { Collective } from "./collective.ts";
import { type CollectiveOptions, DEADLINE_SECONDS, milliseconds } from "./deadline.ts";
import { verdictOf } from "./faults.ts";
import { addInRankOrder } from "./sum.ts";

/** A participant that waits for the others. */
interface Arrival {
  readonly call: Call;
  readonly given: Given;
  /** Makes its result, while nobody has gone on and changed what they gave. */
  readonly take: (all: readonly Given[]) => () => void;
  readonly reject: (error: HireError) => void;
}

type Given = Uint8Array | Float32Array;

/**
 * All participants of a group in this process, rank by rank. Each belongs to one shard, which runs beside the others.
 * @throws HireError from calls: HIRE-RUN-015 when a participant does not come within the deadline or has closed,
 * HIRE-RUN-017 when one makes another call. No call succeeds afterwards.
 */
export function localCollectives(
  size: number,
  { deadline = DEADLINE_SECONDS }: CollectiveOptions = {},
): readonly Collective[] {
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  let arrivals: (Arrival | undefined)[] = [];
  let failure: HireError | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function fail(saw?: string): void {
    clearTimeout(timer);
    const statements = ranks.map((rank) => arrivals[rank]?.call);
    for (const rank of ranks.filter((each) => arrivals[each])) {
      const verdict = verdictOf({
        rank,
        statements: statements.with(rank, { ...statements[rank]!, ...(saw && { saw }) }),
        name: (other) => `rank ${other}`,
      });
      failure ??= verdict;
      arrivals[rank]!.reject(verdict);
    }
  }

  function meet<G extends Given, R>(rank: number, call: Call, given: G, make: (all: readonly G[]) => R): Promise<R> {
    if (failure) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      if (arrivals.length === 0) timer = setTimeout(() => fail(`waited ${deadline} s`), milliseconds(deadline));
      const take = (all: readonly Given[]) => {
        const result = make(all as readonly G[]);
        return () => resolve(result);
      };
      arrivals[rank] = { call, given, take, reject };
      const here = ranks.flatMap((each) => arrivals[each] ?? []);
      if (here.some((other) => !isSameCall(other.call, call))) return fail();
      if (here.length < size) return;
      clearTimeout(timer);
      arrivals = [];
      const all = here.map((arrival) => arrival.given);
      for (const finish of here.map(({ take }) => take(all))) finish();
    });
  }

  return ranks.map((rank): Collective => {
    const run = inOrder();
    let number = 0;
    const exchange = <G extends Given, R>(
      kind: Call["kind"],
      given: G,
      doing: string,
      make: (all: readonly G[]) => R,
    ) => run(() => meet(rank, { number: number++, kind, bytes: given.byteLength, doing }, given, make));
    const nothing = new Uint8Array();
    return {
      rank,
      size,
      engine: "local",
      allGather: (bytes, doing) => exchange("allGather", bytes, doing, joined),
      allReduceSum: (values, doing) => exchange("allReduceSum", values, doing, addInRankOrder),
      barrier: (doing) => exchange("barrier", nothing, doing, () => {}),
      close: () => exchange("close", nothing, "closing", () => {}).catch(() => {}),
    };
  });
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
