/** Runs dpctl commands on a MemoryHost, and keeps what they print and log. */
import { runDpctl } from '../../src/dpctl/commands.ts';
import { type DpctlOptions, defaultOptions } from '../../src/dpctl/dpctl-context.ts';
import { DpifProviders } from '../../src/dpif/dpif-name.ts';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { setConsole } from '../../src/util/vlog.ts';
import type { MemoryHost } from '../support/memory-host.ts';

export interface DpctlResult {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/**
 * One `ovs-dpctl ARGS`, in a process of its own as far as can be: a new provider, log lines numbered from 1 and without
 * their time.
 */
export async function dpctl(
  host: MemoryHost,
  args: readonly string[],
  options: Partial<DpctlOptions> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<DpctlResult> {
  let out = '';
  let err = '';
  let nLines = 0;
  setConsole((line) => {
    err += line.replace(/^[^|]*\|\d+\|/, `TIME|${String(++nLines).padStart(5, '0')}|`);
  });
  const providers = new DpifProviders([
    new DpifNetlinkProvider(
      async () => host.endpoint,
      () => host.netfilter.open(),
    ),
  ]);
  try {
    const errno = await runDpctl(
      {
        programName: 'ovs-dpctl',
        isAppctl: false,
        options: { ...defaultOptions(), ...options },
        providers,
        netdevs: host,
        output: (isError, text) => {
          if (isError) err += text;
          else out += text;
        },
        help: () => 'help\n',
        readLines: async function* (path) {
          const text = files[path];
          if (text === undefined) throw Object.assign(new Error(path), { errno: 2 });
          yield* text.split('\n').slice(0, -1);
        },
      },
      args,
    );
    return { out, err, status: errno === 0 ? 0 : 1 };
  } finally {
    providers.close();
    setConsole(undefined);
  }
}
