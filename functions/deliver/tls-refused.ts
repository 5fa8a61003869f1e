/** Node's codes for a certificate that it refuses. UNSPECIFIED is, for example, a key that is too weak. */
const refusals =
  /^(CERT_|UNSPECIFIED|ERR_TLS|ERR_SSL|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

/** Whether an error of Node means that no TLS session came about, so that nothing was sent in one. */
export const isTlsRefused = ({ code = "", message }: { code?: string; message: string }): boolean =>
  refusals.test(code) || /wrong version number/.test(message);
