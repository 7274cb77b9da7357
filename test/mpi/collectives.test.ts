// Real ranks that do what they should.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localCollectives } from "../../runtime/collective/local.ts";
import { exercise } from "./exercise.ts";
import { alone, buildProgram, mpich, openMpi, type Program } from "./launch.ts";
import { EXERCISE_ROUNDS } from "./rank.ts";

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program.remove());

describe.each([openMpi, mpich])("$name", (launcher) => {
  const { missing } = launcher;
  describe.skipIf(missing)(`collectives${missing ? `, skipped: ${missing}` : ""}`, () => {
    test.each([1, 2, 4])(
      "%i ranks get in thousands of rounds what the local engine gets, bit for bit",
      async (size) => {
        const { reports, exitCode, output } = await program.run(launcher, size, "exercise");
        const local = await Promise.all(localCollectives(size).map((each) => exercise(each, EXERCISE_ROUNDS)));
        expect(
          reports.map(({ value }) => value),
          output,
        ).toEqual(local);
        expect(exitCode).toBe(0);
      },
    );

    test("ranks know their rank, the size and the library", async () => {
      const { reports } = await program.run(launcher, 3, "engine");
      expect(reports.map(({ value }) => value)).toEqual(
        [0, 1, 2].map((rank) => ({
          engine: expect.stringMatching(new RegExp(`^mpi \\(${launcher.name} \\d+\\.\\d+.*\\)$`)),
          rank,
          size: 3,
        })),
      );
    });

    test("calls that are made at once follow each other", async () => {
      const { reports } = await program.run(launcher, 2, "together");
      expect(reports.map(({ value }) => value)).toEqual(["1", "1"]);
    });

    test("a rank that waits leaves the event loop and the processor alone", async () => {
      const { reports } = await program.run(launcher, 3, "patience");
      for (const { value } of [reports[0]!, reports[2]!]) {
        const { turns, processorMilliseconds } = value as { turns: number; processorMilliseconds: number };
        expect(turns).toBeGreaterThan(50);
        expect(processorMilliseconds).toBeLessThan(300);
      }
    });

    test("ranks with equal facts agree", async () => {
      const { exitCode, output } = await program.run(launcher, 3, "agrees");
      expect(output).toBe("");
      expect(exitCode).toBe(0);
    });
  });
});

test.skipIf(alone.missing)("a process that nothing launched is one of one, and ends by itself", async () => {
  const { reports, exitCode } = await program.run(alone, 1, "exercise");
  expect(reports[0]!.error).toBeUndefined();
  expect(exitCode).toBe(0);
});
