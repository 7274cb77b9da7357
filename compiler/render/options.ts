// The choices that only layers with options make, and what follows from them for a template.

import type { KernelPlan } from "../../runtime/plan.ts";

/** Plans leave them out where they are false, so that layers without options have plans without them. */
const ABSENT = {
  biased: false,
  upBiased: false,
  downBiased: false,
  masked: false,
  statistical: false,
  gaps: false,
  tokenScale: false,
  tail: false,
  tailsInWorkgroup: false,
  finishes: false,
  transforms: false,
  divides: false,
  logSumExp: false,
  samples: false,
  multinomial: false,
  keptInRegisters: false,
  split: false,
  keysMeetAgain: false,
  opensMeetings: false,
  bySlot: false,
  hasCommon: false,
  together: false,
  tensorCores: false,
  wholeBlocks: false,
  wholeRounds: false,
  sends: false,
};

export function withOptions(choices: KernelPlan["choices"]): Readonly<Record<string, boolean>> {
  const { selects = false, rescores = false, ranks = false, ...others } = choices;
  const made = { ...ABSENT, ...others };
  const selectsTail = made.tail && selects;
  const addsUp = made.tail || made.logSumExp;
  const sumsOfExp = addsUp || made.multinomial;
  const splitsThreads = made.split && !made.tensorCores;
  return {
    ...choices,
    ...made,
    selectsTail,
    addsUp,
    readsBuckets: selectsTail || others.drops === true,
    sumsOfExp,
    /** What a CUDA warp kept leaves it when all tiles are done. */
    writesAtEnd: made.keptInRegisters || made.tail || others.keptInWorkgroup === true,
    splitSteps: splitsThreads && others.grouped !== true,
    splitWords: splitsThreads && others.grouped === true,
    countsTokens: made.tensorCores || others.bounded === false,
    /** Tensor cores take groups and tokens by their columns. */
    countsGroups: others.wholeWords === false && !made.tensorCores,
    countsChunks: others.int8 === true && !(made.tensorCores && others.bounded === true && !others.quantizesHere),
    /** Places without a row are made or met. */
    noKey: (made.gaps && selects) || others.certifies === true || made.sends,
    /** Keys become numbers again in the first stage. */
    readsKeys: made.tail || made.statistical,
    skipsGaps: made.gaps && !made.split,
    meetsNoRow: made.gaps && (selects || rescores),
    /** The helpers that a kernel needs, each emitted once. */
    makesKeys: rescores || made.finishes || made.multinomial || others.bounded === true,
    /** Something is said of each token when all its rows are ranked. */
    closes: others.certifies === true || made.sends,
    returns: ranks && !made.sends,
    valuesOfKeys: (ranks && !made.sends) || others.bounded === true || selectsTail,
    infiniteKey: sumsOfExp || made.finishes,
  };
}
