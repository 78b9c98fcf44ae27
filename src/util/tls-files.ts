/**
 * TLS (1.2 and 1.3, unless it is limited) with a certificate on each side, as "ssl:" means it for OpenFlow and OVSDB alike: files in PEM, read
 * anew for each connection, and a CA certificate that the first peer may bring along.
 * Source: lib/stream-ssl.c, ovs-vswitchd(8) (PKI Options).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createSecureContext, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
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

/** Versions of TLS by the names that --ssl-protocols has for them, the oldest first. */
const PROTOCOLS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
type Protocol = (typeof PROTOCOLS)[number];

interface TlsLimits {
  readonly minVersion: Protocol;
  readonly maxVersion?: Protocol;
  readonly ciphers?: string;
}
let limits: TlsLimits = { minVersion: 'TLSv1.2' };

/**
 * Limits all connections from now on to the oldest to the newest of `protocols`, names separated by commas or spaces, and to `ciphers`, as
 * openssl-ciphers(1) lists them.  What is no such list is logged, and changes nothing.
 */
export function limitTls(protocols: string | undefined, ciphers: string | undefined): void {
  if (protocols !== undefined) {
    const named = protocols.split(/[ ,\t]+/).filter((word) => word !== '');
    const known = named.map((word) => PROTOCOLS.findIndex((p) => p.toLowerCase() === word.toLowerCase()));
    const unknown = named[known.indexOf(-1)];
    if (named.length === 0) log.err('SSL protocol settings invalid');
    else if (unknown !== undefined) log.err(`${unknown}: SSL protocol not recognized`);
    else limits = { ...limits, minVersion: nth(Math.min(...known)), maxVersion: nth(Math.max(...known)) };
  }
  if (ciphers === undefined) return;
  try {
    createSecureContext({ ciphers });
    limits = { ...limits, ciphers };
  } catch (error) {
    log.err(`SSL_CTX_set_cipher_list: ${(error as Error).message}`);
  }
}
const nth = (i: number): Protocol => PROTOCOLS[i] ?? 'TLSv1.2';

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
    ...limits,
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
