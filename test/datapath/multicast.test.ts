/** Which groups are ours, and who listens to them. */
import { describe, expect, test } from 'vitest';
import { chooseGroups, groupsOf, kernelFamilies, ProcListeners } from '../../src/datapath/commands/multicast.ts';
import { NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from '../../src/netlink/families/nlctrl.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import type { NetlinkReceiver, NetlinkTransport } from '../../src/netlink/transport.ts';
import { ERRNO } from '../../src/util/errno.ts';

describe('groups', () => {
  test('are the highest that the kernel does not use', () => {
    expect(chooseGroups(new Set([2, 16, 31]), 5)).toEqual([27, 28, 29, 30, 32]);
    const none = new Set(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(() => chooseGroups(none, 5)).toThrow(NetlinkError);
  });

  /** The kernel's nlctrl, which answers a dump with one family, and `how` it ends. */
  function kernel(how: 'done' | 'silent' | 'refused'): NetlinkTransport {
    let receiver: NetlinkReceiver | null = null;
    const w = new MessageWriter();
    let at = w.begin(GENL_ID_CTRL, NLM_F.MULTI, 1, 5);
    w.genl(CTRL_CMD.NEWFAMILY, 2);
    w.attrs(CTRL_ATTR, { familyName: 'devlink', familyId: 20, mcastGroups: [{ id: 4, name: 'config' }, { id: 9 }] });
    w.end(at);
    at = w.begin(NLMSG.DONE, NLM_F.MULTI, 1, 5);
    w.end(at);
    return {
      ...{
        portId: 5,
        sendMany: () => 0,
        multicast: () => 0,
        join: () => {},
        leave: () => {},
        setRef: () => {},
        close: () => {},
      },
      send: (_bytes, _offset, size) => {
        if (how === 'refused') return -ERRNO.ECONNREFUSED;
        if (how === 'done') queueMicrotask(() => receiver?.datagram(w.bytes, w.dv, 0, w.size, 0));
        return size;
      },
      receive: (r) => {
        receiver = r;
      },
    };
  }

  test('that the kernel uses are asked for', async () => {
    const families = await kernelFamilies(kernel('done'));
    expect(families.map((f) => f.familyName)).toEqual(['devlink']);
    expect(groupsOf(families)).toEqual(new Set([4, 9]));
  });
  test.each(['silent', 'refused'] as const)('a kernel that is %s is an error, not a wait', async (how) => {
    await expect(kernelFamilies(kernel(how), 20)).rejects.toThrow(NetlinkError);
  });
});

test('listeners are read from the table of sockets, now and then', () => {
  let now = 0;
  let reads = 0;
  let table = `sk  Eth Pid Groups Rmem
00000000a 16 1 00000000 0
00000000b 16 2 08000001 0
00000000c 0 3 ffffffff 0
`;
  const listeners = new ProcListeners(
    () => now,
    () => {
      reads++;
      return table;
    },
  );
  expect([1, 2, 28, 32].map((group) => listeners.has(group))).toEqual([true, false, true, false]);
  table = '';
  expect(listeners.has(28)).toBe(true);
  now += 1000;
  expect(listeners.has(28)).toBe(false);
  expect(reads).toBe(2);
});
