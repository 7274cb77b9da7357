// What shards send each other for one token: how much, in how many messages.

import { resendOdds, smallestSent } from "../../compiler/shard-odds.ts";

/** Bytes that a shard sends, and receives, in each step of a collective; all shards take their steps at once. */
export type Steps = readonly number[];

/** A float and the number of a row. */
const PAIR = 8;

export interface Head {
  readonly rows: number;
  readonly k: number;
}

/** The exchange of one token over a number of shards. */
export interface HeadExchange extends Head {
  readonly shards: number;
  /** The best rows that each shard sends at first. */
  readonly sent: number;
  /** Probability that a second round follows. */
  readonly odds: number;
  /** Bytes of a shard in the first and in the second round: pairs, and one more for the bound. */
  readonly first: number;
  readonly second: number;
}

/** @param target the odds of a second round that `sent` is chosen for. */
export function headExchange({ rows, k }: Head, shards: number, target: number): HeadExchange {
  if (shards === 1) return { rows, k, shards, sent: 0, odds: 0, first: 0, second: 0 };
  const spread = { rows, count: shards };
  const sent = smallestSent(spread, k, target);
  const odds = resendOdds(spread, k, sent);
  const offered = Math.min(k, Math.ceil(rows / shards));
  return { rows, k, shards, sent, odds, first: PAIR * (1 + sent), second: PAIR * (1 + offered) };
}

/** Bytes of a shard's logits. */
export function logitBytes({ rows }: Head, shards: number, bytesPerLogit: number): number {
  return Math.ceil(rows / shards) * bytesPerLogit;
}

/** An all-gather in a ring, as NCCL does it and MPI for long messages: everybody passes on what just came. */
export function ring(shards: number, bytes: number): Steps {
  return Array.from({ length: shards - 1 }, () => bytes);
}

/**
 * An all-gather by recursive doubling, as MPI does it for short messages (Thakur, Rabenseifner and Gropp 2005), or by
 * Bruck's method where shards are no power of two: everybody sends all that it has.
 */
export function doubling(shards: number, bytes: number): Steps {
  return distances(shards).map((distance) => bytes * Math.min(distance, shards - distance));
}

/** Recursive doubling that merges after every step and goes on with what can still be among the best: the tree. */
export function mergingTree(shards: number, bytes: number, most: number): Steps {
  return distances(shards).map((distance) => Math.min(bytes * distance, most));
}

/** An all-reduce in a ring: a reduce-scatter and an all-gather of what it leaves. */
export function ringAllReduce(shards: number, bytes: number): Steps {
  return [...ring(shards, bytes / shards), ...ring(shards, bytes / shards)];
}

export function totalBytes(steps: Steps): number {
  return steps.reduce((sum, each) => sum + each, 0);
}

function distances(shards: number): number[] {
  const all: number[] = [];
  for (let distance = 1; distance < shards; distance *= 2) all.push(distance);
  return all;
}
