// Who is to blame when a call is not completed, out of what every rank says that it is doing.

import { HireError } from "../errors.ts";
import { type Call, describeCall, isSameCall } from "./calls.ts";

/** What a rank says of itself. */
export interface Statement extends Call {
  /** What it has seen go wrong, as a sentence about this rank without its subject: "was told to end". */
  readonly saw?: string;
  /** It takes part no longer. */
  readonly hasEnded?: boolean;
}

/** What is known of a call that failed, on one rank. */
export interface Inquiry {
  readonly rank: number;
  /** Rank by rank; undefined for those of whom nothing was heard. */
  readonly statements: readonly (Statement | undefined)[];
  /** A rank for people, as in "rank 2 (process 4711 on node7)". */
  name(rank: number): string;
}

/** @returns HIRE-RUN-015 with the rank that takes no part, or HIRE-RUN-017 with the one that makes another call. */
export function verdictOf({ rank, statements, name }: Inquiry): HireError {
  const mine = statements[rank]!;
  const doing = describeCall(mine);
  const ranks = statements.map((_, other) => other);
  const find = (isWanted: (statement: Statement) => unknown) =>
    ranks.find((other) => statements[other] && isWanted(statements[other]));

  const ended = find(({ hasEnded }) => hasEnded);
  if (ended !== undefined) return unfinished(`${name(ended)} ${statements[ended]!.saw} during ${doing}`, look(ended));
  const closed = find(({ kind }) => kind === "close" && mine.kind !== "close");
  if (closed !== undefined) return unfinished(`${name(closed)} has closed during ${doing}`, look(closed));
  // Of other numbers are those that were quicker or slower when something went wrong.
  const odd = find((statement) => statement.number === mine.number && !isSameCall(statement, mine));
  if (odd !== undefined) return differentCalls(name(odd), statements[odd]!, name(rank), mine);
  const [silent, ...more] = ranks.filter((other) => !statements[other]);
  if (silent !== undefined) {
    const others = more.length > 0 ? `; no word of rank${more.length > 1 ? "s" : ""} ${more.join(", ")} either` : "";
    const told = mine.saw ? `; rank ${rank} ${mine.saw}` : "";
    return unfinished(
      `${name(silent)} has not come to ${doing}${others}${told}`,
      `${look(silent)}; where it is only slow, allow more seconds with HIREC_COLLECTIVE_DEADLINE or the option deadline`,
    );
  }
  const seen = find(({ saw }) => saw);
  const cause = seen === undefined ? "a rank failed" : `${name(seen)} ${statements[seen]!.saw}`;
  return unfinished(
    `${cause} during ${doing}; all ranks are there`,
    "Look at what the ranks and their launcher printed; where nothing went wrong, the network between them may be slow or blocked",
  );
}

function look(rank: number): string {
  return `Look at what rank ${rank} printed last`;
}

function unfinished(message: string, fix: string): HireError {
  return new HireError({ code: "HIRE-RUN-015", message: capitalized(message), fix });
}

function differentCalls(other: string, theirs: Call, one: string, mine: Call): HireError {
  return new HireError({
    code: "HIRE-RUN-017",
    message: capitalized(`${other} is ${describeCall(theirs)}, and ${one} is ${describeCall(mine)}`),
    fix: "Give every rank the same layers, the same number of tokens and the same options, in the same order",
  });
}

function capitalized(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
