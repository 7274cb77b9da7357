// How long random tests search. CI draws the same few every time; HIREC_LONG=1 draws ten times as many, HIREC_RUNS any
// multiple, and HIREC_SEED others.

export const RUNS = Number(process.env.HIREC_RUNS ?? (process.env.HIREC_LONG === "1" ? 10 : 1));
export const SEED = Number(process.env.HIREC_SEED ?? 1);
