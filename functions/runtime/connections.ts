import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * Keeps at most so many connections: one more ends one that has had its answer, or else that which has kept us waiting
 * longest for a whole request. A limit alone (`maxConnections`) would shut honest clients out while somebody holds all.
 */
export const keepRoom = (server: Server, most: number): void => {
  const open = new Set<Socket>();
  // The connection with the longest wait comes first.
  const [answered, waitedFor] = [new Set<Socket>(), new Set<Socket>()];
  const forget = (socket: Socket) => {
    answered.delete(socket);
    waitedFor.delete(socket);
  };
  server.on("connection", (socket) => {
    open.add(socket);
    waitedFor.add(socket);
    socket.once("close", () => {
      open.delete(socket);
      forget(socket);
    });
    const [longest] = answered.size > 0 ? answered : waitedFor;
    if (open.size <= most || !longest) return;
    open.delete(longest);
    forget(longest);
    longest.destroy();
  });
  server.on("request", (request, response) => {
    const { socket } = request;
    forget(socket);
    waitedFor.add(socket);
    request.once("end", () => forget(socket));
    response.once("close", () => {
      forget(socket);
      if (!socket.destroyed) answered.add(socket);
    });
  });
};
