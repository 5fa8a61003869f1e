import { connect, isIP, type LookupFunction, type Socket } from "node:net";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { checkServerIdentity, connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";
import { tooLate } from "./in-time.ts";
import type { Tls } from "./outcome.ts";
import { printable } from "./printable.ts";
import type { Sockets } from "./smtp-wire.ts";

/** After this time the next address of a name is tried. A lost SYN is repeated after 1 s. */
const addressMilliseconds = 3_000;
/** By so much a reply is late while the relay's tickets are not acknowledged: Nagle waits for our delayed ACK. */
const ticketsMilliseconds = 40;
/** A handshake that takes longer says how busy the relay is, not how far. */
const longestRoundTripMilliseconds = 1_000;

/** RFC 6761 §6.3: localhost is both, whatever a hosts file says. */
const loopback: LookupFunction = (_host, _options, found) =>
  setImmediate(found, null, [
    { address: "127.0.0.1", family: 4 },
    { address: "::1", family: 6 },
  ]);

/** RFC 9525 §2: a certificate's common name is not a host's. Node takes it where there is no other name. */
const identityFault = (host: string, certificate: PeerCertificate): Error | undefined =>
  checkServerIdentity(host, { ...certificate, subject: { ...certificate.subject, CN: "" } });

const tlsOf = (socket: TLSSocket): Tls => {
  const { subject, subjectaltname, valid_to } = socket.getPeerCertificate();
  return {
    version: socket.getProtocol() ?? "",
    cipher: socket.getCipher().name,
    subject: printable(String(subject?.CN ?? subjectaltname ?? "")),
    validTo: valid_to ?? "",
  };
};

/** With TLS 1.3 the tickets come behind the handshake: what we say next is to acknowledge them. */
const tickets = async (socket: TLSSocket, roundTripMilliseconds: number, signal: AbortSignal) => {
  if (socket.getProtocol() !== "TLSv1.3") return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const most = Math.min(roundTripMilliseconds, longestRoundTripMilliseconds) + ticketsMilliseconds;
  const timer = setTimeout(resolve, most);
  signal.addEventListener("abort", () => resolve(), { once: true });
  socket.once("close", resolve);
  // Not at once: Node tells of a ticket while it reads, and what is written then makes it deaf.
  socket.once("session", () => setImmediate(resolve));
  await promise;
  clearTimeout(timer);
};

/** Resolves to a socket at `event`; rejects, and the socket is destroyed, at an error, at its end, or at `signal`. */
export const whenReady = <S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> =>
  new Promise((resolve, reject) => {
    // In a handshake workerd tells nobody that a socket was destroyed.
    const abandon = () => {
      reject(tooLate());
      socket.destroy();
    };
    if (signal.aborted) abandon();
    signal.addEventListener("abort", abandon);
    // Stays on the socket: else a later error would be unhandled.
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("the relay closed the connection")));
    socket.once(event, () => {
      signal.removeEventListener("abort", abandon);
      resolve(socket);
    });
  });

/** Connections by Node's net and tls. All addresses of a name are tried. */
export const nodeSockets: Sockets = {
  connect: async (host, port, signal, passed) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      ...(host === "localhost" && { lookup: loopback }),
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: addressMilliseconds,
    });
    if (isIP(host)) passed?.("dns", host);
    else socket.once("lookup", (error, address) => error || passed?.("dns", address));
    await whenReady(socket, "connect", signal);
    passed?.("connect", socket.remoteAddress ?? "");
    return socket;
  },
  secure: async (socket, host, ca, signal) => {
    const begun = performance.now();
    const secured = connectTls({
      socket,
      host,
      servername: isIP(host) ? undefined : host,
      ca,
      minVersion: "TLSv1.2",
      checkServerIdentity: identityFault,
    });
    await whenReady(secured, "secureConnect", signal);
    // A socket that is closed has forgotten it.
    const tls = tlsOf(secured);
    await tickets(secured, performance.now() - begun, signal);
    return { socket: secured, tls };
  },
};
