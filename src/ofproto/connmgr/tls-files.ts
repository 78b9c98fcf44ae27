/**
 * TLS 1.2 and 1.3 with a certificate on each side, as OpenFlow's "ssl:" means it.
 * Source: lib/stream-ssl.c.
 */
import { readFileSync } from 'node:fs';
import type { TlsFiles } from './openflow-settings.ts';

/** Throws if there are no files, or one cannot be read. */
export function tlsOptions(files: TlsFiles | undefined) {
  if (files === undefined) throw new RangeError('SSL is not configured: there is no private key and certificate');
  return {
    key: readFileSync(files.privateKey),
    cert: readFileSync(files.certificate),
    ca: readFileSync(files.caCert),
    minVersion: 'TLSv1.2',
    requestCert: true,
    rejectUnauthorized: true,
    // The CA vouches for controllers; their names do not matter.
    checkServerIdentity: () => undefined,
  } as const;
}
