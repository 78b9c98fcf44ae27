import { expect, test } from 'vitest';
import { UsageError } from '../../src/daemon/command-line.ts';
import { dirsOf, initialDaemonOptions } from '../../src/daemon/daemon-options.ts';
import { parseOptions, usage } from '../../src/vswitchd/options.ts';

const DIRS = { run: '/run/x', log: '/log/x' };

test('defaults', () => {
  expect(parseOptions([], DIRS)).toEqual({
    ...initialDaemonOptions(),
    database: 'unix:/run/x/db.sock',
    datapath: 'auto',
    dummy: undefined,
    hasSystemDatapath: true,
    hasSystemRoutes: true,
    isConfined: true,
    ssl: { privateKey: undefined, certificate: undefined, caCert: undefined, bootstrapCaCert: false },
    showHelp: false,
    showVersion: false,
  });
});

test.each([
  [['tcp:1.2.3.4:6640'], { database: 'tcp:1.2.3.4:6640' }],
  [['--pidfile'], { pidfile: '/run/x/ovs-vswitchd.pid' }],
  [['--pidfile=a.pid', 'unix:d'], { pidfile: '/run/x/a.pid', database: 'unix:d' }],
  [['--pidfile=/tmp/a.pid', '--overwrite-pidfile'], { pidfile: '/tmp/a.pid', overwritePidfile: true }],
  [['--no-self-confinement'], { isConfined: false }],
  [['--log-file', '--detach', '--no-chdir'], { logFile: '/log/x/ovs-vswitchd.log', detach: true, stayInDir: true }],
  [['-v', '-vconsole:warn', '--verbose=bridge:dbg'], { verbose: ['any:any:dbg', 'console:warn', 'bridge:dbg'] }],
  [['--unixctl=x.ctl'], { unixctl: '/run/x/x.ctl' }],
  [['--unixctl', '/a/b.ctl'], { unixctl: '/a/b.ctl' }],
  [['--unixctl=none'], { unixctl: 'none' }],
  [['--datapath', 'emulated', 'unix:d'], { datapath: 'emulated', database: 'unix:d' }],
  [['--monitor', '--user=ovs:net', '--mlockall'], { monitor: true, user: 'ovs:net', lockMemory: true }],
  [
    ['--syslog-method=null', '--syslog-method=libc', '--syslog-target=1.2.3.4:5'],
    { syslogMethod: 'null', syslogTarget: '1.2.3.4:5' },
  ],
  [['--disable-system', '--disable-system-route'], { hasSystemDatapath: false, hasSystemRoutes: false }],
  [['--enable-dummy'], { dummy: 'none' }],
  [['--enable-dummy=override'], { dummy: 'override' }],
  [
    ['-p', 'key', '-cert', '--ca-cert=ca'],
    { ssl: { privateKey: 'key', certificate: 'ert', caCert: 'ca', bootstrapCaCert: false } },
  ],
  [['--bootstrap-ca-cert=ca'], { ssl: { caCert: 'ca', bootstrapCaCert: true } }],
  [['--ssl-protocols=TLSv1.2', '--ssl-ciphers=X'], { ssl: { protocols: 'TLSv1.2', ciphers: 'X' } }],
  [['--det', '--mon'], { detach: true, monitor: true }],
  [['-h'], { showHelp: true }],
  [['-V'], { showVersion: true }],
  [['--', 'unix:-d'], { database: 'unix:-d' }],
])('%j', (argv, want) => {
  expect(parseOptions(argv, DIRS)).toMatchObject(want);
});

test.each([
  [['--nope'], "unrecognized option '--nope'"],
  [['--toString'], "unrecognized option '--toString'"],
  [['--detach=yes'], "option '--detach' doesn't allow an argument"],
  [['--unixctl'], "option '--unixctl' requires an argument"],
  [['-x'], "invalid option -- 'x'"],
  [['-p'], "option requires an argument -- 'p'"],
  [['--no-'], "option '--no-' is ambiguous; possibilities: '--no-chdir' '--no-self-confinement'"],
  [['--enable-dummy=x'], 'x: unknown dummy level'],
  [['--datapath=both'], '--datapath=both: want auto, kernel or emulated'],
  [['a', 'b'], 'at most one non-option argument accepted; use --help for usage'],
])('%j is refused', (argv, text) => {
  expect(() => parseOptions(argv, DIRS)).toThrow(UsageError);
  expect(() => parseOptions(argv, DIRS)).toThrow(text);
});

test('directories come from the environment', () => {
  expect(dirsOf({ OVS_RUNDIR: '/a', OVS_LOGDIR: '' })).toEqual({ run: '/a', log: '/var/log/openvswitch' });
  expect(usage(DIRS)).toContain('(default: "unix:/run/x/db.sock")');
});
