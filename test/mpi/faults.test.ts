// Real ranks of which one goes wrong: every other one ends with an error that names it, and nothing hangs.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alone, buildProgram, type Job, mpich, openMpi, type Program } from "./launch.ts";
import { ODD, type Scenario } from "./rank.ts";

/** Long enough for ranks to start at different times on a machine that has other things to do. */
const DEADLINE_SECONDS = 4;
/** For the roll call, the launcher and a busy machine. */
const SLACK_SECONDS = 4;

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program.remove());

interface Fault {
  readonly scenario: Scenario;
  readonly code: string;
  readonly says: RegExp;
  /** Ranks other than those that must end with the error. */
  readonly except?: readonly number[];
}

const odd = `Rank ${ODD} \\(process \\d+ on \\S+\\)`;
const says = (text: string) => new RegExp(`^${odd} ${text}`);
const call = "gathering bytes \\(exchange 2, allGather of 100 bytes\\)";

const FAULTS: readonly Fault[] = [
  { scenario: "stopped", code: "HIRE-RUN-015", says: says(`has not come to ${call}`) },
  { scenario: "busy", code: "HIRE-RUN-015", says: says(`has not come to ${call}`) },
  { scenario: "afterwards", code: "HIRE-RUN-015", says: says(`has not come to ${call}`) },
  { scenario: "terminated", code: "HIRE-RUN-015", says: says(`ended with exit code 143 during ${call}`) },
  { scenario: "exits", code: "HIRE-RUN-015", says: says(`ended with exit code 0 during ${call}`) },
  { scenario: "throws", code: "HIRE-RUN-015", says: says(`has closed during ${call}`) },
  { scenario: "closes", code: "HIRE-RUN-015", says: says(`has closed during ${call}`) },
  {
    scenario: "otherBytes",
    code: "HIRE-RUN-017",
    says: says("is gathering .* 400 bytes\\), and rank [02] .* 100 bytes"),
  },
  { scenario: "otherKind", code: "HIRE-RUN-017", says: says(`is meeting \\(exchange 2, barrier\\), and rank [02] `) },
  { scenario: "absent", code: "HIRE-RUN-015", says: /^Rank [02] waited 4 s for all 3 ranks to initialize MPI/ },
  {
    scenario: "ahead",
    code: "HIRE-RUN-015",
    says: /^Rank 0 \(.*\) has not come to gathering .*; no word of rank 2 either; rank 1 waited 4 s$/,
    except: [0, 2],
  },
  { scenario: "otherPlan", code: "HIRE-RUN-016", says: /^Rank 1 has plan babababababa, and rank 0 has plan abab/ },
  { scenario: "fourShards", code: "HIRE-RUN-016", says: /^The plan has 4 shards, and there are 3 ranks$/, except: [] },
  { scenario: "twice", code: "HIRE-RUN-014", says: /^MPI is open already in this process$/, except: [] },
];

async function expectNothingLeft({ reports }: Job): Promise<void> {
  // What the launcher leaves behind is reaped by the system when it comes to it.
  for (const { pid } of reports) {
    await expect.poll(() => isThere(pid), { timeout: 3000, message: `process ${pid} lives` }).toBe(false);
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const deadline = { HIREC_COLLECTIVE_DEADLINE: String(DEADLINE_SECONDS) };

describe.each([openMpi, mpich])("$name", (launcher) => {
  const { missing } = launcher;
  describe.skipIf(missing)(`faults${missing ? `, skipped: ${missing}` : ""}`, () => {
    test.each(FAULTS)("$scenario: $code", async ({ scenario, code, says, except = [ODD] }) => {
      const job = await program.run(launcher, 3, scenario, { environment: deadline });
      for (const { rank, error, milliseconds } of job.reports.filter(({ rank }) => !except.includes(rank))) {
        expect({ rank, ...error }, job.output).toMatchObject({ rank, code, message: expect.stringMatching(says) });
        expect(milliseconds).toBeLessThan(1000 * (DEADLINE_SECONDS + SLACK_SECONDS));
      }
      expect(job.exitCode, job.output).toBeGreaterThan(0);
      await expectNothingLeft(job);
    });

    test("forgets: ranks that end without closing are no success", async () => {
      const job = await program.run(launcher, 3, "forgets", { environment: deadline });
      expect(job.exitCode, job.output).toBeGreaterThan(0);
      await expectNothingLeft(job);
    });
  });
});

describe.skipIf(openMpi.missing)("a rank that is killed", () => {
  const ended = says(`has ended during ${call}`);

  test("is named by all others when Open MPI ends them", async () => {
    const job = await program.run(openMpi, 3, "killed");
    for (const rank of [0, 2]) expect(job.reports[rank]!.error?.message, job.output).toMatch(ended);
    await expectNothingLeft(job);
  });

  test("is named by all others when the launcher lets them live", async () => {
    const job = await program.run(openMpi, 3, "killed", { environment: deadline, flags: ["--enable-recovery"] });
    for (const rank of [0, 2]) {
      const { error, milliseconds } = job.reports[rank]!;
      expect(error?.message, job.output).toMatch(ended);
      expect(milliseconds).toBeGreaterThan(1000 * DEADLINE_SECONDS);
    }
    await expectNothingLeft(job);
  });
});

test.skipIf(mpich.missing)(
  "a rank that is killed takes all others along under MPICH, whose launcher kills them",
  async () => {
    const job = await program.run(mpich, 3, "killed");
    expect(job.exitCode, job.output).toBeGreaterThan(0);
    await expectNothingLeft(job);
  },
);

test.skipIf(alone.missing)("a library that does not know of the launcher's ranks is refused", async () => {
  const { reports } = await program.run(alone, 1, "engine", {
    environment: { PMI_RANK: "0", PMI_SIZE: "3", HIREC_LIBMPI: "libmpi.so.40" },
  });
  expect(reports[0]!.error).toMatchObject({
    code: "HIRE-RUN-014",
    message: expect.stringMatching(/^The launcher of MPICH started 3 ranks, and Open MPI \S+ knows of 1$/),
  });
});
