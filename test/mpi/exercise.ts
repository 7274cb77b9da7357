// Random calls of random sizes, the same on all ranks, with every result compared to what it must be.

import { createHash } from "node:crypto";
import type { Collective } from "../../runtime/collective/collective.ts";
import { integer, mulberry32 } from "../cases/random.ts";

/** @returns a hash of all results, which is the same on every rank and with every engine. */
export async function exercise(collective: Collective, rounds: number): Promise<string> {
  const { rank, size } = collective;
  const random = mulberry32(rounds);
  const hash = createHash("sha256");
  for (let round = 0; round < rounds; round++) {
    // Now and then one that needs more than one message, or another algorithm of the library's.
    const length = integer(random, 0, random() < 0.01 ? 50_000 : 300);
    const everybodys = Array.from({ length: size }, (_, other) => numbers(round * size + other, length));
    const mine = everybodys[rank]!;
    if (round % 3 === 0) {
      const bytes = (values: Float32Array) => new Uint8Array(values.buffer).subarray(round % 2);
      const gathered = await collective.allGather(bytes(mine), `gathering ${round}`);
      check(gathered, Buffer.concat(everybodys.map(bytes)), round);
      hash.update(gathered);
    } else if (round % 3 === 1) {
      const sum = await collective.allReduceSum(mine, `adding ${round}`);
      const expected = Float32Array.from(mine, (_, i) =>
        everybodys.map((values) => values[i]!).reduce((a, b) => Math.fround(a + b)),
      );
      check(new Uint8Array(sum.buffer), new Uint8Array(expected.buffer), round);
      hash.update(new Uint8Array(sum.buffer));
    } else {
      await collective.barrier(`meeting ${round}`);
    }
  }
  return hash.digest("hex");
}

/** Of such different sizes that the order in which they are added shows; infinities and zeros of both signs among them. */
function numbers(seed: number, length: number): Float32Array {
  const random = mulberry32(seed);
  const special = [Infinity, 0, -0];
  return Float32Array.from({ length }, () =>
    random() < 0.05 ? special[integer(random, 0, 2)]! : (random() - 0.5) * 10 ** integer(random, -3, 8),
  );
}

function check(actual: Uint8Array, expected: Uint8Array, round: number): void {
  if (Buffer.compare(actual, expected) !== 0) throw new Error(`round ${round} gives other bytes than it must`);
}
