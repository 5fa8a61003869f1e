import { Duplex } from "node:stream";

/** Where a connection breaks: after so many bytes of one direction, with a FIN or with a reset. */
export type Cut = { direction: "to relay" | "from relay"; bytes: number; by: "end" | "reset" };

/** A connection to a relay in memory, friendly and in clear, and what went over it. */
export type Wire = {
  socket: Duplex;
  /** The contents that the relay has to their final dot: it is responsible for these. */
  taken: string[];
  bytes: Record<Cut["direction"], number>;
};

const replies: Record<string, string> = {
  EHLO: "250-relay.example\r\n250 PIPELINING\r\n",
  MAIL: "250 2.1.0 Ok\r\n",
  RCPT: "250 2.1.5 Ok\r\n",
  DATA: "354 go ahead\r\n",
  RSET: "250 2.0.0 Ok\r\n",
  QUIT: "221 2.0.0 Bye\r\n",
};

/** A relay at the other end of a connection that breaks where it is told to. */
export const wire = (cut?: Cut): Wire => {
  const taken: string[] = [];
  const bytes = { "to relay": 0, "from relay": 0 };
  let pending = "";
  let content = false;
  let broken = false;
  /** The part of these bytes that still gets through. */
  const through = (direction: Cut["direction"], chunk: Buffer): Buffer => {
    if (broken) return Buffer.alloc(0);
    const left = cut?.direction === direction ? cut.bytes - bytes[direction] : chunk.length;
    const part = chunk.subarray(0, left);
    bytes[direction] += part.length;
    if (cut?.direction === direction && bytes[direction] === cut.bytes) {
      broken = true;
      // Bytes that got through are read first.
      setTimeout(() => {
        if (cut.by === "reset")
          duplex.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
        else duplex.push(null);
      }, 1);
    }
    return part;
  };
  const answer = (text: string) => {
    const part = through("from relay", Buffer.from(text));
    // No reply is there before its command has been written.
    if (part.length > 0) setImmediate(() => duplex.destroyed || duplex.push(part));
  };
  const hear = (chunk: Buffer) => {
    pending += chunk.toString("latin1");
    for (;;) {
      const mark = content ? "\r\n.\r\n" : "\r\n";
      const end = pending.indexOf(mark);
      if (end < 0) return;
      const heard = pending.slice(0, end);
      pending = pending.slice(end + mark.length);
      if (content) {
        content = false;
        taken.push(heard);
        answer(`250 2.0.0 Ok: queued as ${taken.length}\r\n`);
        continue;
      }
      const verb = heard.split(" ", 1)[0]?.toUpperCase() ?? "";
      answer(replies[verb] ?? "500 5.5.1 unknown\r\n");
      content = verb === "DATA";
    }
  };
  const duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      hear(through("to relay", chunk));
      done();
    },
  });
  // The greeting, once there is somebody to hear it.
  setImmediate(() => answer("220 relay.example ESMTP\r\n"));
  return { socket: duplex, taken, bytes };
};
