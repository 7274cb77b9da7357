// Whether this process is one of several that an MPI launcher started, told by the environment and without loading MPI.

export interface MpiLaunch {
  /** Whose launcher it is, which is whose library has to be loaded. */
  readonly by: "Open MPI" | "MPICH" | "PMIx";
  readonly rank: number;
  /** How many processes it started; undefined when the launcher does not say. */
  readonly size: number | undefined;
}

/** What each launcher sets. That of MPICH is also Intel MPI's and MVAPICH's; PMIx is what srun speaks, which counts tasks. */
const LAUNCHERS = [
  { by: "Open MPI", rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE" },
  { by: "MPICH", rank: "PMI_RANK", size: "PMI_SIZE" },
  { by: "PMIx", rank: "PMIX_RANK", size: "SLURM_STEP_NUM_TASKS" },
] as const;

/** Undefined for a process that was started by itself. */
export function mpiLaunch(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): MpiLaunch | undefined {
  for (const { by, rank, size } of LAUNCHERS) {
    if (environment[rank] === undefined) continue;
    const count = environment[size];
    return { by, rank: Number(environment[rank]), size: count === undefined ? undefined : Number(count) };
  }
  return undefined;
}

/** Which of the ranks of its machine a process is, by which they share its devices; 0 for one that was started by itself. */
export function localRank(environment: Readonly<Record<string, string | undefined>> = process.env): number {
  const { OMPI_COMM_WORLD_LOCAL_RANK, MPI_LOCALRANKID, SLURM_LOCALID } = environment;
  return Number(OMPI_COMM_WORLD_LOCAL_RANK ?? MPI_LOCALRANKID ?? SLURM_LOCALID ?? 0);
}
