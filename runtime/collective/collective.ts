// The seam between sharded layers and what carries their exchange: promises, and no word on processes or networks.

/** What shards of one layer tell each other. Every participant makes the same calls in the same order. */
export interface Collective {
  readonly rank: number;
  readonly size: number;
  /** Such as "local", "mpi (Open MPI 4.1.4)". */
  readonly engine: string;
  /** Everybody's bytes, rank by rank; all give as many. @param doing in words, for messages. */
  allGather(bytes: Uint8Array, doing: string): Promise<Uint8Array>;
  /** The sum over ranks of equally long arrays, the same bits on every rank. */
  allReduceSum(values: Float32Array, doing: string): Promise<Float32Array>;
  barrier(doing: string): Promise<void>;
  /** Waits until all have closed. Never throws, so that it hides no error on the way out; who made another call is told. */
  close(): Promise<void>;
}
