/**
 * Where commands print: standard output in large pieces, standard error at once, in the order in which it was printed.
 */

const FLUSH_BYTES = 1 << 16;

export class Output {
  private pending = '';

  constructor() {
    // A reader that has gone away (`| head`) ends nothing: the command still does what it was asked to.
    process.stdout.on('error', () => {});
    process.stderr.on('error', () => {});
  }

  out(text: string): void {
    this.pending += text;
    if (this.pending.length >= FLUSH_BYTES) this.flush();
  }

  err(text: string): void {
    this.flush();
    process.stderr.write(text);
  }

  flush(): void {
    if (this.pending === '') return;
    process.stdout.write(this.pending);
    this.pending = '';
  }
}
