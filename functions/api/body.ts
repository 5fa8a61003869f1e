import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";

/** Lets whole bodies of at most so many bytes through; one that is cut off or too large is answered, not worked on. */
export const bodyWithin = (
  maxSize: number,
  answers: Record<"tooLarge" | "cutOff", (c: Context) => Response | Promise<Response>>,
): MiddlewareHandler => {
  const limited = bodyLimit({ maxSize, onError: answers.tooLarge });
  return async (c, next) => {
    let whole: boolean | undefined;
    const readAll = async () => {
      // Hono keeps the text for whoever asks again.
      await c.req.text();
      whole = true;
    };
    const length = c.req.header("Content-Length") ?? "";
    // Hono's limit makes a stream of the body first: that takes longer than all else that is done with an alert.
    const told = /^\d+$/.test(length) && c.req.header("Transfer-Encoding") === undefined;
    if (told && Number(length) > maxSize) return answers.tooLarge(c);
    const answer = await (told ? readAll() : limited(c, readAll)).catch(() => answers.cutOff(c));
    return whole ? next() : answer;
  };
};

/** The form of a body, in small letters: its Content-Type without parameters. Undefined: it is compressed. */
export const formOf = (c: Context): string | undefined =>
  c.req.header("Content-Encoding")
    ? undefined
    : (c.req.header("Content-Type") ?? "").split(";")[0]?.trim().toLowerCase();
