import { generate } from "selfsigned";

/** A private key and its certificate, PEM. */
export type Certificate = { key: string; cert: string };

const oneDay = 86_400_000;

/** An authority of its own, as a company may run for its relays. */
export const authority = async (): Promise<Certificate> => {
  const { private: key, cert } = await generate([{ name: "commonName", value: "Private CA" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "basicConstraints", cA: true }],
  });
  return { key, cert };
};

type AltName = { type: 1 | 2; value: string } | { type: 7; ip: string };

/**
 * A relay's certificate by `ca`, or self-signed; for 127.0.0.1 unless `forName` is given. Its subject alternative
 * names (RFC 5280 §4.2.1.6: 1 mail, 2 DNS, 7 IP) may be others.
 */
export const certificate = async (options: {
  ca?: Certificate;
  forName?: string;
  commonName?: string;
  expired?: boolean;
  /** How long it is still good. */
  days?: number;
  altNames?: AltName[];
}): Promise<Certificate> => {
  const { ca, forName, commonName = forName ?? "127.0.0.1", expired, days = 1 } = options;
  const own: AltName = forName ? { type: 2, value: forName } : { type: 7, ip: "127.0.0.1" };
  const altNames = options.altNames ?? [own];
  const now = Date.now();
  const { private: key, cert } = await generate([{ name: "commonName", value: commonName }], {
    keyType: "ec",
    algorithm: "sha256",
    ca,
    notBeforeDate: new Date(now - 2 * oneDay),
    notAfterDate: new Date(now + (expired ? -1 : days) * oneDay),
    extensions: [
      { name: "basicConstraints", cA: false },
      ...(altNames.length > 0 ? [{ name: "subjectAltName" as const, altNames }] : []),
    ],
  });
  return { key, cert };
};

/** A certificate with an RSA key of 1024 bits, which clients refuse by default. */
export const weakCertificate = async (): Promise<Certificate> => {
  const { private: key, cert } = await generate([{ name: "commonName", value: "127.0.0.1" }], {
    keySize: 1024,
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
  });
  return { key, cert };
};
