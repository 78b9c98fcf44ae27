/** Limits of TLS; what they do to connections is in test-netns/service/tls.test.ts. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limitTls } from '../../src/util/tls-files.ts';
import { setConsole } from '../../src/util/vlog.ts';

const lines: string[] = [];
beforeEach(() => setConsole((line) => lines.push(line)));
afterEach(() => setConsole(undefined));

test.each([
  ['TLSv9', undefined, 'TLSv9: SSL protocol not recognized'],
  ['TLSv1.2, SSLv3', undefined, 'SSLv3: SSL protocol not recognized'],
  [' ,', undefined, 'SSL protocol settings invalid'],
  [undefined, 'nonsense', 'SSL_CTX_set_cipher_list: '],
])('protocols %j, ciphers %j: it is said that they are wrong', (protocols, ciphers, text) => {
  lines.length = 0;
  limitTls(protocols, ciphers);
  expect(lines.join('')).toContain(`|stream_ssl|ERR|${text}`);
});
