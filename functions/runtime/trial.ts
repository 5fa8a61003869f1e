import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { generate } from "selfsigned";
import { SMTPServer } from "smtp-server";
import type { Report } from "../report/event.ts";

/** The trial's token, kept in STATE/token (0600) so that it survives a restart. */
export const trialToken = async (state: string): Promise<string> => {
  const path = join(state, "token");
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const token = randomBytes(32).toString("base64url");
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  return token;
};

const subjectOf = (bytes: Buffer): string =>
  /^Subject: (.*)$/m.exec(bytes.toString("latin1"))?.[1]?.trim() ?? "";

/** The alert's id, as the mail's text has it. */
const alertIn = (bytes: Buffer): string | undefined =>
  /^Alert ([A-Za-z0-9._-]{8,80}), by Hardstate\r?$/m.exec(bytes.toString("latin1"))?.[1];

/**
 * Starts a relay that is no relay: an SMTP server on loopback (STARTTLS by a certificate of its own, then AUTH PLAIN or
 * LOGIN) that keeps each mail as STATE/mail/TIME-N.eml and sends none on. A mail's file is whole before its 250 goes out.
 */
export const capturingRelay = async (state: string, clock: () => number, report: Report) => {
  const folder = join(state, "mail");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  const [user, password] = ["trial", randomBytes(18).toString("base64url")];
  let count = 0;
  /** Resolves to the mail's number. */
  const keep = async (bytes: Buffer, to: string): Promise<number> => {
    const stamp = new Date(clock()).toISOString().replace(/[-:]/g, "").replace(".", "-");
    count += 1;
    const number = count;
    const path = join(folder, `${stamp}-${number}.eml`);
    await writeFile(`${path}.part`, bytes, { mode: 0o600, flush: true });
    await rename(`${path}.part`, path);
    report({ event: "captured", id: alertIn(bytes), path, subject: subjectOf(bytes), to });
    return number;
  };
  const server = new SMTPServer({
    name: "trial.hardstate.invalid",
    key,
    cert,
    authMethods: ["PLAIN", "LOGIN"],
    disableReverseLookup: true,
    onAuth: (auth, _session, done) =>
      auth.username === user && auth.password === password
        ? done(null, { user })
        : done(new Error("wrong password")),
    onData: (stream, session, done) => {
      const to = session.envelope.rcptTo.map(({ address }) => address).join(" ");
      buffer(stream)
        .then((bytes) => keep(bytes, to))
        .then(
          (number) => done(null, `kept, queued as TRIAL${number}`),
          (error: Error) => done(Object.assign(error, { responseCode: 451 })),
        );
    },
  });
  // A client that breaks off is the client's affair; it has its own report.
  server.on("error", (error) =>
    report({ event: "failed", during: "the trial's relay", error: error.message }),
  );
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.server.address();
  if (address === null || typeof address === "string") throw new Error("the trial's relay has no port");
  return {
    port: address.port,
    user,
    password,
    certificate: cert,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
};
