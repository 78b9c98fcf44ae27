/**
 * Whether the files that table SSL names can be used: said when they are named, not only when a connection needs them.
 * Neighbour: openflow-config.ts (readTls).  Source: lib/stream-ssl.c (stream_ssl_set_key_and_cert, stream_ssl_set_ca_cert_file).
 */
import { createSecureContext } from 'node:tls';
import { type TlsFiles, tlsOptions } from '../../util/tls-files.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('stream_ssl');

export class TlsCheck {
  private text = '';

  /** Logs what is wrong with `files`, if they are others than the last time. */
  report(files: TlsFiles | undefined): void {
    const text = JSON.stringify(files ?? null);
    if (text === this.text) return;
    this.text = text;
    if (files === undefined) return;
    try {
      createSecureContext(tlsOptions(files));
    } catch (error) {
      log.err(`files of table SSL cannot be used: ${(error as Error).message}`);
    }
  }
}
