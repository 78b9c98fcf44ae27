import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Dpif } from '../../../src/dpif/dpif.ts';
import type { DpifOp } from '../../../src/dpif/dpif-types.ts';
import { DpifNetlinkProvider } from '../../../src/dpif-netlink/dpif-netlink.ts';
import { formatOdpActions } from '../../../src/odp/text/odp-format-actions.ts';
import { probeDpSupport } from '../../../src/ofproto/backer/dp-probe.ts';
import { KERNEL_DP_SUPPORT } from '../../../src/ofproto/backer/dp-support.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { MemoryHost } from '../../support/memory-host.ts';

const lines: string[] = [];
beforeEach(() => {
  lines.length = 0;
  setConsole((l) => lines.push(l.replace(/^[^|]*\|\d+\|/, '').trimEnd()));
});
afterEach(() => setConsole(undefined));

describe('of our datapath', () => {
  let host: MemoryHost;
  let provider: DpifNetlinkProvider;
  let dpif: Dpif;
  beforeEach(async () => {
    host = new MemoryHost();
    provider = new DpifNetlinkProvider(async () => host.endpoint);
    dpif = await provider.open('dp0', true);
  });
  afterEach(() => {
    dpif.close();
    provider.close();
    host.close();
  });

  it('finds what the kernel module can, and leaves nothing behind', async () => {
    const { ctZeroSnat: _, ...support } = await probeDpSupport(dpif);
    const { ctZeroSnat: __, ...wanted } = KERNEL_DP_SUPPORT;
    expect(support).toEqual(wanted);
    expect((await dpif.stats()).nFlows).toBe(0n);
  });

  it('asks about UFIDs with a flow of its own: the removal of that of a run that was killed may come late', async () => {
    const operate = dpif.operate.bind(dpif);
    let mine = '';
    dpif.operate = (ops: DpifOp[]) => {
      for (const op of ops) if (op.type === 'put' && op.ufid !== undefined) mine = Buffer.from(op.key).toString('hex');
      return operate(ops);
    };
    await probeDpSupport(dpif);
    const pid = Buffer.alloc(4);
    pid.writeUInt32LE(process.pid);
    expect(mine).toContain(pid.toString('hex'));
  });

  it('logs what scripts look for, and no warnings', async () => {
    await probeDpSupport(dpif);
    expect(lines.filter((l) => /\|(WARN|ERR)\|/.test(l))).toEqual([]);
    expect(lines).toContain('ofproto_dpif|INFO|system@dp0: VLAN header stack length probed as 2');
    expect(lines).toContain('ofproto_dpif|INFO|system@dp0: Datapath supports ct_clear action');
    expect(lines).toContain('ofproto_dpif|INFO|system@dp0: Datapath does not support IPv6 ND Extensions');
  });

  it('is right about a datapath that knows less', async () => {
    const less = refusing(
      dpif,
      (op) => 'actions' in op && /clone|sample\(.*sample|trunc/.test(formatOdpActions(op.actions)),
    );
    const support = await probeDpSupport(less);
    expect([support.clone, support.trunc, support.sampleNesting]).toEqual([false, false, 3]);
    expect(support.checkPktLen).toBe(true);
    expect(lines).toContain('ofproto_dpif|INFO|system@dp0: Datapath does not support clone action');
    const none = await probeDpSupport(refusing(dpif, (op) => op.type !== 'del'));
    expect(none).toEqual(
      Object.fromEntries(
        Object.entries(KERNEL_DP_SUPPORT).map(([key, v]) => {
          if (key === 'sampleNesting') return [key, 3];
          if (key === 'ctZeroSnat') return [key, support.ctZeroSnat];
          return [key, typeof v === 'number' ? 0 : false];
        }),
      ),
    );
  });
});

/** `dpif` but for operations that it does not know. */
function refusing(dpif: Dpif, refuses: (op: DpifOp) => boolean): Dpif {
  return new Proxy(dpif, {
    get(target, name) {
      if (name !== 'operate') return Reflect.get(target, name, target);
      return async (ops: readonly DpifOp[]) => {
        await target.operate(ops.filter((op) => !refuses(op)));
        for (const op of ops) if (refuses(op)) op.result = ERRNO.EINVAL;
      };
    },
  });
}
