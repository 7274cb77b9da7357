// The handshake: before shards exchange anything, they find out that they are parts of one whole.

import { type Diagnostic, HireError } from "../errors.ts";
import type { Collective } from "./collective.ts";
import { fromRecords, toRecord } from "./records.ts";

/** What a participant runs. */
export interface Facts {
  /** Of hirec, `VERSION` in runtime/version.ts. */
  readonly version: string;
  /** Hashes of the plan, and of what decides the bytes of its pack. */
  readonly plan: string;
  readonly pack: string;
  /** How many shards the plan has. */
  readonly shards: number;
  /** Which of them this participant has; shard i belongs to rank i. */
  readonly shard: number;
}

/** So much of a hash is enough to tell two apart. */
const HASH_DIGITS = 12;

/** What all must have in common, each in words. */
const COMMON: readonly { of(facts: Facts): string; readonly fix: string }[] = [
  { of: ({ version }) => `hirec ${version}`, fix: "Install one version of hirec on every machine" },
  { of: ({ plan }) => `plan ${plan.slice(0, HASH_DIGITS)}`, fix: "Copy one compiled folder to every machine" },
  {
    of: ({ pack }) => `pack ${pack.slice(0, HASH_DIGITS)}`,
    fix: "Pack again with this plan, and give every rank the pack of its own shard",
  },
  { of: ({ shards }) => `a plan of ${counted(shards, "shard")}`, fix: "Copy one compiled folder to every machine" },
];

/**
 * Every participant calls it before anything else; all get the same answer.
 * @throws HireError HIRE-RUN-016 with a diagnostic per fact that differs, which names the ranks, HIRE-RUN-015 when one does
 * not come.
 */
export async function agree(collective: Collective, facts: Facts): Promise<void> {
  const gathered = await collective.allGather(toRecord(facts), "comparing versions, plans and packs");
  const problems = disagreements(fromRecords(gathered) as Facts[]);
  if (problems.length > 0) throw new HireError(problems);
}

/** @param all what every rank has. */
function disagreements(all: readonly Facts[]): Diagnostic[] {
  const problems: Diagnostic[] = [];
  const add = (message: string, fix: string) => problems.push({ code: "HIRE-RUN-016", message, fix });
  for (const { of, fix } of COMMON) {
    const values = all.map(of);
    const usual = mostFrequent(values);
    const odd = ranksWhere(values, (value) => value !== usual);
    if (odd.length === 0) continue;
    const [subject, verb] = odd.length > 1 ? [`Ranks ${odd.join(", ")}`, "have"] : [`Rank ${odd[0]}`, "has"];
    const theirs = [...new Set(odd.map((rank) => values[rank]))].join(" and ");
    add(`${subject} ${verb} ${theirs}, and rank ${values.indexOf(usual)} has ${usual}`, fix);
  }
  // Of different plans there is nothing more to say.
  if (problems.length > 0) return problems;
  const { shards } = all[0]!;
  if (shards !== all.length) {
    add(
      `The plan has ${counted(shards, "shard")}, and there ${all.length === 1 ? "is" : "are"} ${counted(all.length, "rank")}`,
      `Start one process per shard, as with mpirun -n ${shards}, or compile for ${counted(all.length, "shard")}`,
    );
  }
  for (const rank of ranksWhere(all, ({ shard }, rank) => shard !== rank)) {
    add(`Rank ${rank} has shard ${all[rank]!.shard}`, `Give rank ${rank} the pack of shard ${rank}`);
  }
  return problems;
}

/** The first of the most frequent values: of two ranks, rank 0 is right. */
function mostFrequent<T>(values: readonly T[]): T {
  const count = (value: T) => values.filter((other) => other === value).length;
  return values.reduce((best, value) => (count(value) > count(best) ? value : best));
}

function ranksWhere<T>(all: readonly T[], isWanted: (each: T, rank: number) => boolean): number[] {
  return all.flatMap((each, rank) => (isWanted(each, rank) ? [rank] : []));
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
