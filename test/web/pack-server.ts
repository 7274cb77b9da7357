// A server of one pack, which does what servers and connections do wrong.

import type { IncomingMessage, ServerResponse } from "node:http";
import { listen } from "./listen.ts";

/** Browsers drop what they have received and not yet handed on when a connection breaks. */
const BEFORE_CUT_MS = 300;

/** What goes wrong; everything else is as it should be. */
export interface Faults {
  /** Ends the connection after so many bytes of a response, for as long as it returns a number. */
  cut?: () => number | undefined;
  /** Answers with this status, for as long as it returns one. */
  status?: () => number | undefined;
  /** Changes the bytes of the file before they are sent. */
  damage?: (bytes: Buffer) => Buffer;
  /** Sends the whole file, whatever is asked for. */
  noRanges?: boolean;
}

export interface PackServer {
  readonly url: string;
  /** First byte of each request, in order. */
  readonly requests: number[];
  faults: Faults;
  file: Uint8Array;
  close(): Promise<void>;
}

export async function servePack(file: Uint8Array): Promise<PackServer> {
  const { origin, close } = await listen((request, response) => {
    const begin = firstByte(request);
    served.requests.push(begin);
    answer(served, begin, response);
  });
  const served: PackServer = { url: `${origin}/tiny.pack`, requests: [], faults: {}, file, close };
  return served;
}

/** Where the part begins that is asked for; it has no end. */
export function firstByte({ headers }: IncomingMessage): number {
  return Number(headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
}

/** Answers a request for the file from byte `begin` on. */
export function answer(
  { file, faults }: { readonly file: Uint8Array; readonly faults: Faults },
  begin: number,
  response: ServerResponse,
): void {
  const status = faults.status?.();
  if (status !== undefined) {
    response.writeHead(status).end();
    return;
  }
  const whole = faults.damage ? faults.damage(Buffer.from(file)) : Buffer.from(file);
  const isPart = begin > 0 && !faults.noRanges;
  const bytes = isPart ? whole.subarray(begin) : whole;
  response.writeHead(isPart ? 206 : 200, {
    "Content-Length": bytes.byteLength,
    ...(isPart && { "Content-Range": `bytes ${begin}-${whole.byteLength - 1}/${whole.byteLength}` }),
  });
  const cut = faults.cut?.();
  if (cut === undefined) response.end(bytes);
  else response.write(bytes.subarray(0, cut), () => setTimeout(() => response.destroy(), BEFORE_CUT_MS));
}
