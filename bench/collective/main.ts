// How long an exchange takes by itself, with ranks of one machine that share its cores. Run with: npm run bench:collective

import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { localCollectives } from "hirec/runtime";
import { MPIRUN_ENVIRONMENT, measure, printHeader } from "./measure.ts";

const RANKS = [1, 2, 4];
const ROUNDS = 2000;

const program = fileURLToPath(new URL("measure.ts", import.meta.url));

console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, Node ${process.versions.node}`);
printHeader();
for (const size of RANKS) await Promise.all(localCollectives(size).map((each) => measure(each, ROUNDS)));
for (const size of RANKS) {
  execFileSync("mpirun", ["-n", String(size), process.execPath, "--import", "tsx", program, String(ROUNDS)], {
    stdio: ["ignore", "inherit", "inherit"],
    env: MPIRUN_ENVIRONMENT,
  });
}
