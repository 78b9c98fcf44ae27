import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { UsageError } from '../../src/daemon/command-line.ts';
import { initialDaemonOptions } from '../../src/daemon/daemon-options.ts';
import { datapathUsage, parseDatapathOptions } from '../../src/datapath/options.ts';

const DIRS = { run: '/run/x', log: '/log/x' };

test('defaults', () => {
  expect(parseDatapathOptions([], DIRS)).toEqual({
    ...initialDaemonOptions(),
    readyFile: undefined,
    kernelCompat: undefined,
    portId: undefined,
    showHelp: false,
  });
});

test.each([
  [['--ready-file', 'a'], { readyFile: resolve('a') }],
  [['--kernel-compat=6.12', '--unixctl=/a/b.ctl'], { kernelCompat: '6.12', unixctl: '/a/b.ctl' }],
  [['--unixctl', 'b.ctl'], { unixctl: '/run/x/b.ctl' }],
  [['--pidfile', '--log-file'], { pidfile: '/run/x/tapswitch-datapath.pid', logFile: '/log/x/tapswitch-datapath.log' }],
  [['--pidfile=/a.pid', '--detach', '--monitor'], { pidfile: '/a.pid', detach: true, monitor: true }],
  [['-vdbg', '--help'], { verbose: ['dbg'], showHelp: true }],
])('%j', (argv, want) => {
  expect(parseDatapathOptions(argv, DIRS)).toMatchObject(want);
});

test.each([
  [['--nope'], "unrecognized option '--nope'"],
  [['--ready-file'], "option '--ready-file' requires an argument"],
  [['dp0'], 'dp0: non-option arguments are not accepted; use --help for usage'],
])('%j is refused', (argv, text) => {
  expect(() => parseDatapathOptions(argv, DIRS)).toThrow(UsageError);
  expect(() => parseDatapathOptions(argv, DIRS)).toThrow(text);
});

test('every option is in --help', () => {
  const text = datapathUsage(DIRS);
  for (const name of ['--ready-file', '--kernel-compat', '--monitor', '--user', '--unixctl'])
    expect(text).toContain(name);
});
