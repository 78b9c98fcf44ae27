import { describe, expect, test } from 'vitest';
import { decodeFlow, writeFlow } from '../../src/dpif-netlink/flow-codec.ts';
import { decodeUpcall } from '../../src/dpif-netlink/upcall-receiver.ts';
import { NetlinkFormatError } from '../../src/netlink/errors.ts';
import { OVS_FLOW_ATTR } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../../src/netlink/families/ovs-packet.ts';
import { MessageView, MessageWriter } from '../../src/netlink/message.ts';
import { ufidOf } from '../../src/odp/odp-ufid.ts';
import { fc } from '../support/property.ts';

function messageOf(cmd: number, fill: (w: MessageWriter) => void): MessageView {
  const w = new MessageWriter();
  const at = w.beginOvs(40, 0, 0, 0, cmd, 1, 7);
  fill(w);
  w.end(at);
  const m = new MessageView();
  m.set(w.dv, 0, w.size);
  return m;
}
const hex = (b: Uint8Array | undefined) => b && Buffer.from(b).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const KEY = bytes('0800 0300 01000000');

describe('flows', () => {
  const stats = { nPackets: 5n, nBytes: 500n };

  test('a reply as the datapath writes it is read', () => {
    const ufid = '000102030405060708090a0b0c0d0e0f';
    const id = ufidOf(bytes(ufid));
    const m = messageOf(1, (w) =>
      w.attrs(OVS_FLOW_ATTR, { ufid: bytes(ufid), key: KEY, mask: KEY, used: 77n, stats, tcpFlags: 2, actions: KEY }),
    );
    const f = decodeFlow(m);
    expect({ ...f, key: hex(f.key), mask: hex(f.mask), actions: hex(f.actions) }).toEqual({
      ufid: id,
      key: hex(KEY),
      mask: hex(KEY),
      actions: hex(KEY),
      stats: { nPackets: 5, nBytes: 500, used: 77, tcpFlags: 2 },
    });
  });

  test('what is missing is undefined, or zero', () => {
    const none = { nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 };
    expect(decodeFlow(messageOf(1, () => {}))).toEqual({
      ufid: undefined,
      key: undefined,
      mask: undefined,
      actions: undefined,
      stats: none,
    });
  });

  test('what was read outlives the message', () => {
    const m = messageOf(1, (w) => w.attrs(OVS_FLOW_ATTR, { key: KEY }));
    const f = decodeFlow(m);
    new Uint8Array(m.dv.buffer).fill(0);
    expect(hex(f.key)).toBe(hex(KEY));
  });

  test('any bytes are a flow or a NetlinkFormatError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (raw) => {
        const m = messageOf(1, (w) => {
          w.bytes.set(raw, w.size);
          w.size += raw.length;
        });
        try {
          decodeFlow(m);
        } catch (e) {
          if (!(e instanceof NetlinkFormatError)) throw e;
        }
      }),
    );
  });

  const write = (f: Parameters<typeof writeFlow>[1]) => {
    const w = new MessageWriter();
    writeFlow(w, f);
    return Buffer.from(w.bytes.subarray(0, w.size)).toString('hex');
  };
  const ufid = ufidOf(new Uint8Array(16));

  // biome-ignore format: table
  const REQUESTS = [
    { name: 'key, mask and actions',     in: { ufid: undefined, key: KEY, mask: KEY, actions: new Uint8Array() }, out: '0c000100 08000300 01000000  0c000700 08000300 01000000  04000200' },
    { name: 'terse with a UFID: no key', in: { ufid, terse: true, key: KEY },                                    out: `14000900 ${'00'.repeat(16)} 08000a00 07000000` },
    { name: 'an empty key is left out',  in: { ufid: undefined, key: new Uint8Array() },                         out: '' },
    { name: 'packet type: Ethernet',     in: { ufid: undefined, key: bytes('08001d00 00000000 10000400 000000000000000000000000') }, out: '14000100 10000400 000000000000000000000000' },
    { name: 'packet type: IPv4',         in: { ufid: undefined, key: bytes('08000300 01000000 08001d00 00010800') }, out: '14000100 08000300 01000000 06000600 08000000' },
    { name: 'packet type: IPv4 over an Ethernet type', in: { ufid: undefined, key: bytes('08001d00 00010800 06000600 ffff0000') }, out: '0c000100 06000600 08000000' },
  ];
  test.each(REQUESTS)('request: $name', ({ in: request, out }) => {
    expect(write(request)).toBe(out.replaceAll(' ', ''));
  });
});

describe('upcalls', () => {
  const PACKET = new Uint8Array(61).fill(9);

  test('a miss and an action, the packet last and unpadded', () => {
    for (const cmd of [OVS_PACKET_CMD.MISS, OVS_PACKET_CMD.ACTION]) {
      const m = messageOf(cmd, (w) => {
        w.attrs(OVS_PACKET_ATTR, {
          key: KEY,
          userdata: bytes('0102'),
          actions: KEY,
          mru: 1400,
          hash: 5n,
          packet: PACKET,
        });
        w.size -= 3;
      });
      const u = decodeUpcall(m);
      expect(u).toMatchObject({ type: cmd - 1, mru: 1400, hash: 5n, egressTunKey: undefined });
      expect([hex(u?.packet), hex(u?.userdata), hex(u?.actions)]).toEqual([hex(PACKET), '0102', hex(KEY)]);
    }
  });

  // biome-ignore format: table
  const BAD = [
    { name: 'another command',  cmd: 3, attrs: { key: KEY, packet: PACKET } },
    { name: 'no key',           cmd: 1, attrs: { packet: PACKET } },
    { name: 'no packet',        cmd: 1, attrs: { key: KEY } },
    { name: 'a short packet',   cmd: 1, attrs: { key: KEY, packet: PACKET.subarray(0, 13) } },
  ];
  test.each(BAD)('$name is no upcall', ({ cmd, attrs }) => {
    expect(decodeUpcall(messageOf(cmd, (w) => w.attrs(OVS_PACKET_ATTR, attrs)))).toBeUndefined();
  });

  test('any bytes are an upcall or none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (raw) => {
        const m = messageOf(OVS_PACKET_CMD.MISS, (w) => {
          w.bytes.set(raw, w.size);
          w.size += raw.length;
        });
        const u = decodeUpcall(m);
        expect(u === undefined || u.packet.length >= 14).toBe(true);
      }),
    );
  });
});
