/** Certificates for tests of TLS: a CA, and keys that it has signed.  Neighbours: harness.ts, tls.test.ts, openflow-controllers.test.ts. */
import { join } from 'node:path';
import { ok } from './harness.ts';

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const NAMED = (name: string) => ['-subj', `/CN=${name}`];

/** A key and a certificate that nobody but itself vouches for: NAME-key.pem and NAME.pem in `dir`. */
export async function selfSigned(dir: string, name: string): Promise<void> {
  const files = ['-keyout', join(dir, `${name}-key.pem`), '-out', join(dir, `${name}.pem`)];
  await ok(['openssl', 'req', '-x509', ...EC, ...files, ...NAMED(name), '-days', '2']);
}

/** A CA (ca.pem), and for each name a key and a certificate of it: NAME-key.pem and NAME.pem in `dir`. */
export async function makePki(dir: string, ...names: string[]): Promise<void> {
  const pem = (name: string) => join(dir, `${name}.pem`);
  await selfSigned(dir, 'ca');
  for (const name of names) {
    const request = join(dir, `${name}.csr`);
    await ok(['openssl', 'req', ...EC, '-keyout', pem(`${name}-key`), '-out', request, ...NAMED(name)]);
    const sign = ['-CA', pem('ca'), '-CAkey', pem('ca-key'), '-CAcreateserial', '-days', '2'];
    await ok(['openssl', 'x509', '-req', '-in', request, '-out', pem(name), ...sign]);
  }
}
