// The latency-bandwidth model (Hockney's, "alpha-beta"), and the constants of four networks. Nothing here is measured by
// this project; where a number is from stands beside it, and docs/scaling.md repeats it.

import type { Steps } from "./exchange.ts";

/** One way in which a library moves bytes. All times are in µs, bandwidths in bytes per µs. */
export interface Protocol {
  /** What a call costs before the first step. */
  readonly call: number;
  /** What a step costs beside its bytes. */
  readonly step: number;
  readonly bandwidth: number;
}

export interface Network {
  readonly name: string;
  /** The library takes the fastest. */
  readonly protocols: readonly Protocol[];
  /** What it costs to merge what has arrived, whatever its size: a kernel on a GPU. */
  readonly merge: number;
  readonly source: string;
}

const GB_PER_S = 1000;

// Latencies of NCCL 2.20.3's own model, src/graph/tuning.cc: baseLat and hwLat of rings, for the protocols LL and Simple.
// LL sends a flag with each word, so that it reaches a third of the bandwidth within a machine (at most 87.7 GB/s on
// Hopper), a quarter of it between machines (ncclTopoTuneModel, busBw).
const nccl = (link: number, ll: { step: number; bandwidth: number }, simple: { step: number }): Protocol[] => [
  { call: 6.6, step: ll.step, bandwidth: ll.bandwidth * GB_PER_S },
  { call: 8.4, step: simple.step, bandwidth: link * GB_PER_S },
];

/** The launch of a small kernel: assumed. */
const KERNEL = 3;

export const NETWORKS: readonly Network[] = [
  {
    name: "NVLink 4",
    protocols: nccl(450, { step: 0.6, bandwidth: 87.7 }, { step: 3.4 }),
    merge: KERNEL,
    source: "NCCL's latencies; 450 GB/s per direction, nominal",
  },
  {
    name: "PCIe 4.0 x16",
    protocols: nccl(32, { step: 1, bandwidth: 32 / 3 }, { step: 5.7 }),
    merge: KERNEL,
    source: "NCCL's latencies; 32 GB/s per direction, nominal",
  },
  {
    name: "100 GbE, RDMA",
    protocols: nccl(12.5, { step: 2.7, bandwidth: 12.5 / 4 }, { step: 14 }),
    merge: KERNEL,
    source: "NCCL's latencies between machines, without those of card and switch; nominal",
  },
  {
    name: "1 GbE, TCP",
    protocols: [{ call: 0, step: 25, bandwidth: 0.125 * GB_PER_S }],
    merge: 2,
    source: "25 µs through the kernel's TCP and 2 µs for a merge on the CPU, assumed; nominal",
  },
];

/** The time in µs of one collective call. */
export function callTime({ protocols }: Network, steps: Steps): number {
  if (steps.length === 0) return 0;
  const bytes = steps.reduce((sum, each) => sum + each, 0);
  return Math.min(...protocols.map(({ call, step, bandwidth }) => call + steps.length * step + bytes / bandwidth));
}

/** The time in µs of an exchange that merges once, when all has arrived. */
export function flatTime(network: Network, steps: Steps): number {
  return steps.length === 0 ? 0 : callTime(network, steps) + network.merge;
}

/** The time in µs of an exchange that merges after every step, which makes each step a call of its own. */
export function treeTime(network: Network, steps: Steps): number {
  return steps.reduce((sum, bytes) => sum + callTime(network, [bytes]) + network.merge, 0);
}
