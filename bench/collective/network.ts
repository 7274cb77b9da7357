// How long an exchange takes over a network: every rank in a network namespace of its own, Open MPI over TCP, and a link between
// them with a delay and a rate (link.cpp). It needs Linux, root, iproute2, g++ and Open MPI.
// Run with: npm run bench:collective:network

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MPIRUN_ENVIRONMENT, printHeader } from "./measure.ts";

const RANKS = [2, 4];
/** One way. */
const DELAYS_MICROSECONDS = [0, 100, 1000, 5000];
const MEGABITS_PER_SECOND = 1000;
const ROUNDS = 100;

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const run = (command: string, ...words: readonly string[]) =>
  execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

const folder = await mkdtemp(join(tmpdir(), "hirec-network-"));
const spaces = Array.from({ length: Math.max(...RANKS) }, (_, i) => `hirec-${i + 1}`);
const addressOf = (i: number) => `10.77.0.${i + 1}`;
const link = join(folder, "link");
run("g++", "-std=c++17", "-O2", "-Wall", here("link.cpp"), "-o", link);
for (const space of spaces) run("ip", "netns", "add", space);
try {
  for (const delay of DELAYS_MICROSECONDS) await measureWith(delay);
} finally {
  for (const space of spaces) run("ip", "netns", "delete", space);
  await rm(folder, { recursive: true });
}

async function measureWith(delay: number): Promise<void> {
  const network = spawn(link, [String(delay), String(MEGABITS_PER_SECOND), ...spaces], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(network.stdout, "data");
    spaces.forEach((space, i) => {
      run("ip", "-n", space, "address", "add", `${addressOf(i)}/24`, "dev", "shards");
      for (const device of ["lo", "shards"]) run("ip", "-n", space, "link", "set", device, "up");
    });
    console.log(`\n${delay} µs one way, ${MEGABITS_PER_SECOND} Mbit/s`);
    printHeader();
    for (const size of RANKS) measureRanks(size);
  } finally {
    network.kill();
    await once(network, "exit");
  }
}

function measureRanks(size: number): void {
  const subnet = "10.77.0.0/24";
  const settings = {
    plm_rsh_agent: here("agent.sh"),
    btl: "tcp,self",
    btl_tcp_if_include: subnet,
    oob_tcp_if_include: subnet,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["--mca", name, value]);
  const hosts = spaces.slice(0, size).map((_, i) => `${addressOf(i)}:1`);
  const program = [process.execPath, "--import", "tsx", here("measure.ts"), String(ROUNDS)];
  execFileSync(
    "ip",
    ["netns", "exec", spaces[0]!, "mpirun", "--host", hosts.join(","), ...flags, "-n", String(size), ...program],
    { stdio: ["ignore", "inherit", "inherit"], env: { ...MPIRUN_ENVIRONMENT, TMPDIR: folder } },
  );
}
