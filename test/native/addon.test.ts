/** The addon's smaller parts: arena, pidfiles, errors, and its end with the environment.  Needs the build, not root. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { native, RX_WORDS } from '../../src/native/index.ts';

const ADDON = new URL('../../build/Release/tapswitch.node', import.meta.url).pathname;
const built = existsSync(ADDON);
if (!built) console.log('skipped: the addon is not built (npm run build:native)');

describe.skipIf(!built)('arena', () => {
  it('is zeroed, and costs nothing until it is used', () => {
    const { buffer } = native().createArena(2 ** 32);
    expect(buffer.byteLength).toBe(2 ** 32);
    const bytes = new Uint8Array(buffer, 2 ** 32 - 4096, 4096);
    expect(bytes.every((b) => b === 0)).toBe(true);
    bytes.fill(1);
    expect(process.memoryUsage.rss()).toBeLessThan(2 ** 31);
  });

  it.each([0, -1, 2 ** 33, Number.NaN])('refuses a size of %s', (size) => {
    expect(() => native().createArena(size)).toThrowError(TypeError);
  });
});

describe.skipIf(!built)('errors', () => {
  it('carry errno, code and syscall', () => {
    expect(() => native().openNetlink(99, 0, 0)).toThrowError(
      expect.objectContaining({ errno: 93, code: 'EPROTONOSUPPORT', syscall: 'socket' }),
    );
    expect(() => native().closeFd(-1)).toThrowError(expect.objectContaining({ code: 'EBADF', syscall: 'close' }));
  });

  it('of usage are TypeErrors', () => {
    const { openNetlink, openTap, lockPidfile } = native();
    expect(() => Reflect.apply(openNetlink, undefined, ['x'])).toThrowError(TypeError);
    expect(() => Reflect.apply(openTap, undefined, [{}, 'tap0'])).toThrowError(TypeError);
    expect(() => Reflect.apply(lockPidfile, undefined, [])).toThrowError(TypeError);
  });

  it('on the message path are numbers', () => {
    const s = native().openNetlink(16, 0, 0);
    const info = new Int32Array(2 * RX_WORDS);
    expect(s.receive(new Uint8Array(64), 64, 1, info)).toBe(-11);
    expect(s.receive(new Uint8Array(64), 64, 2, info)).toBe(-22);
    expect(s.receive(new Uint8Array(64), 0, 1, info)).toBe(-22);
    expect(s.send(new Uint8Array(4), 0, 8, 0, 0)).toBe(-22);
    expect(s.send(new Uint8Array(4), 0, 4, 0, 33)).toBe(-22);
    expect(s.sendMany(new Uint8Array(4), new Int32Array(2), 1)).toBe(-22);
    s.close();
    expect(s.receive(new Uint8Array(64), 64, 1, info)).toBe(-9);
    expect(() => s.poll(() => {})).toThrowError(expect.objectContaining({ code: 'EBADF' }));
  });
});

describe.skipIf(!built)('pidfiles', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tapswitch-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const path = (name: string) => join(dir, name);

  /** A process that locks `file` and prints "locked", or the error's code, then waits. */
  async function locker(file: string) {
    const script = `const a = require(${JSON.stringify(ADDON)});
      try { a.lockPidfile(${JSON.stringify(file)}, process.pid + '\\n'); console.log('locked'); }
      catch (e) { console.log(e.code); }
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(createInterface({ input: child.stdout }), 'line');
    const end = async () => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    };
    return { pid: child.pid, said: String(said), end };
  }

  it('are held by the process that they name, until it ends', async () => {
    const file = path('a.pid');
    writeFileSync(file, 'something longer that an earlier process left\n');
    const first = await locker(file);
    expect(first.said).toBe('locked');
    expect(readFileSync(file, 'utf8')).toBe(`${first.pid}\n`);
    expect(native().pidfileHolder(file)).toBe(first.pid);
    const second = await locker(file);
    expect(second.said).toMatch(/^(EAGAIN|EACCES)$/);
    expect(readFileSync(file, 'utf8')).toBe(`${first.pid}\n`);
    await second.end();
    expect(native().pidfileHolder(file)).toBe(first.pid);
    await first.end();
    expect(native().pidfileHolder(file)).toBe(0);
  });

  it('of this process stay locked when they are asked about', () => {
    const file = path('b.pid');
    native().lockPidfile(file, `${process.pid}\n`);
    expect(native().pidfileHolder(file)).toBe(process.pid);
    expect(() => native().lockPidfile(file, 'again')).toThrowError(expect.objectContaining({ code: 'EAGAIN' }));
    const script = `console.log(require(${JSON.stringify(ADDON)}).pidfileHolder(${JSON.stringify(file)}))`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe(`${process.pid}\n`);
  });

  it('that are not there are ENOENT', () => {
    expect(() => native().pidfileHolder(path('none'))).toThrowError(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => native().lockPidfile(path('no/dir'), '')).toThrowError(expect.objectContaining({ code: 'ENOENT' }));
  });
});

describe.skipIf(!built)('the end of an environment', () => {
  it('closes sockets that a worker left polling', async () => {
    const script = `const a = require(${JSON.stringify(ADDON)});
      const open = [1, 2, 3].map(() => a.openNetlink(16, 0, 0));
      open.forEach((s) => s.poll(() => {}));
      open[0].close();
      require('node:worker_threads').parentPort.postMessage(open[1].portId);`;
    const worker = new Worker(script, { eval: true });
    const [portId] = await once(worker, 'message');
    await worker.terminate();
    const s = native().openNetlink(16, portId, 0);
    expect(s.portId >>> 0).toBe(portId);
    s.close();
  });

  it('does not wait for sockets without a reference, and tells what a callback throws', () => {
    const script = `const a = require(${JSON.stringify(ADDON)});
      const s = a.openNetlink(16, 0, 0);
      s.poll(() => { throw new Error('from the callback'); });
      s.setRef(false);
      process.on('uncaughtException', (e) => { console.log(e.message); s.close(); });
      const ask = new Uint8Array(20);
      new DataView(ask.buffer).setUint32(0, 20, true);
      ask.set([16, 0, 5, 0], 4);
      s.send(ask, 0, 20, 0, 0);
      setTimeout(() => console.log('end'), 50);`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 60_000 })).toBe(
      'from the callback\nend\n',
    );
  });
});
