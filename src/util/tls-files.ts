/**
 * TLS 1.2 and 1.3 with a certificate on each side, as "ssl:" means it for OpenFlow and OVSDB alike: files in PEM, read
 * anew for each connection, and a CA certificate that the first peer may bring along.
 * Source: lib/stream-ssl.c, ovs-vswitchd(8) (PKI Options).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { vlog } from './vlog.ts';

const log = vlog('stream_ssl');

/** Files in PEM; the private key's and certificate's are our own, the CA's is of the peers. */
export interface TlsFiles {
  readonly privateKey: string;
  readonly certificate: string;
  readonly caCert: string;
  /** Whether the CA certificate may come from the peer, and be written to `caCert`, while there is no such file. */
  readonly bootstrapCaCert?: boolean;
}

/** Whether the next connection is to bring the CA certificate along: call `bootstrapCa` when it is up. */
export const wantsBootstrap = (files: TlsFiles | undefined): boolean =>
  files?.bootstrapCaCert === true && !existsSync(files.caCert);

/** Options for `tls.connect` and `tls.createServer`.  Throws if there are no files, or one cannot be read. */
export function tlsOptions(files: TlsFiles | undefined) {
  if (files === undefined) throw new RangeError('SSL is not configured: there is no private key and certificate');
  const isBootstrap = wantsBootstrap(files);
  return {
    key: readFileSync(files.privateKey),
    cert: readFileSync(files.certificate),
    ...(isBootstrap ? {} : { ca: readFileSync(files.caCert) }),
    minVersion: 'TLSv1.2',
    requestCert: true,
    rejectUnauthorized: !isBootstrap,
    // The CA vouches for peers; their names do not matter.
    checkServerIdentity: () => undefined,
  } as const;
}

/**
 * Writes the self-signed certificate at the end of the peer's chain to `files.caCert`.  The connection itself was not
 * verified and has to be given up, whatever came of it; the log says that.
 */
export function bootstrapCa(files: TlsFiles, socket: TLSSocket): void {
  let root: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  if (root.raw === undefined) {
    log.err('could not bootstrap CA cert: no certificate presented by peer');
    return;
  }
  while (root.issuerCertificate !== undefined && root.issuerCertificate !== root) root = root.issuerCertificate;
  if (root.issuerCertificate !== root) {
    log.err('could not bootstrap CA cert: obtained certificate is not self-signed');
    return;
  }
  const base64 = root.raw.toString('base64').replace(/.{1,64}/g, '$&\n');
  try {
    writeFileSync(files.caCert, `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`, {
      flag: 'wx',
      mode: 0o444,
    });
  } catch (error) {
    log.err(`could not bootstrap CA cert: creating ${files.caCert} failed: ${(error as Error).message}`);
    return;
  }
  log.info(`successfully bootstrapped CA cert to ${files.caCert}`);
  log.info('killing successful connection to retry using CA cert');
}
