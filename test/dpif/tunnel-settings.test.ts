import { afterEach, beforeEach, expect, test } from 'vitest';
import { readTunnelSettings, type TunnelSettings } from '../../src/dpif/tunnel-settings.ts';
import { tunnelSettingsToOptions } from '../../src/dpif/tunnel-settings-text.ts';
import { TUNNEL_TYPES, tunnelType } from '../../src/dpif/tunnel-types.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { fc } from '../support/property.ts';

beforeEach(() => setConsole(() => undefined));
afterEach(() => setConsole(undefined));

function read(typeName: string, text: string): TunnelSettings {
  const type = tunnelType(typeName);
  if (type === undefined) throw new Error(typeName);
  const options = new Map(text.split(' ').map((kv) => [kv.slice(0, kv.indexOf('=')), kv.slice(kv.indexOf('=') + 1)]));
  const result = readTunnelSettings('t', type, options);
  if ('why' in result) throw new Error(result.why);
  return result.settings;
}
const shown = (s: TunnelSettings) => Array.from(tunnelSettingsToOptions(s), (kv) => kv.join('=')).join(' ');

// What stock ovs-vswitchd 3.1 prints of such interfaces in dpif/show.
// biome-ignore format: table
test.each([
  ['gre',    'remote_ip=1.1.1.1',                                 'remote_ip=1.1.1.1'],
  ['gre',    'remote_ip=1.1.1.1 key=5 local_ip=2.2.2.2',          'key=5 local_ip=2.2.2.2 remote_ip=1.1.1.1'],
  ['gre',    'remote_ip=1.1.1.1 in_key=2 out_key=3',              'in_key=2 out_key=3 remote_ip=1.1.1.1'],
  ['gre',    'remote_ip=1.1.1.1 in_key=flow key=7',               'in_key=flow out_key=7 remote_ip=1.1.1.1'],
  ['gre',    'remote_ip=1.1.1.1 key=0x10 ttl=300 seq=true',       'key=16 remote_ip=1.1.1.1 seq=true ttl=44'],
  ['gre',    'remote_ip=1.1.1.1 ttl=64 tos=0',                    'remote_ip=1.1.1.1'],
  ['gre',    'remote_ip=1.1.1.1 ttl=inherit tos=inherit',         'remote_ip=1.1.1.1 tos=inherit ttl=inherit'],
  ['gre',    'remote_ip=1.1.1.1 packet_type=ptap tos=0x10',       'packet_type=ptap remote_ip=1.1.1.1 tos=0x10'],
  ['vxlan',  'remote_ip=flow local_ip=flow key=flow dst_port=4789', 'key=flow local_ip=flow remote_ip=flow'],
  ['vxlan',  'remote_ip=fd00::1 dst_port=1 df_default=false csum=true', 'csum=true df_default=false dst_port=1 remote_ip=fd00::1'],
  ['geneve', 'remote_ip=1.1.1.1 egress_pkt_mark=12',              'egress_pkt_mark=12 remote_ip=1.1.1.1'],
  ['gtpu',   'remote_ip=1.1.1.1 packet_type=legacy_l3 key=123',   'key=123 remote_ip=1.1.1.1'],
  ['erspan', 'remote_ip=1.1.1.1 erspan_ver=1 erspan_idx=0x7 key=1', 'erspan_idx=0x7 erspan_ver=1 key=1 remote_ip=1.1.1.1'],
  ['erspan', 'remote_ip=1.1.1.1 erspan_ver=2 erspan_dir=flow erspan_hwid=3f', 'erspan_dir=flow erspan_hwid=0x3f erspan_ver=2 remote_ip=1.1.1.1'],
  ['erspan', 'remote_ip=1.1.1.1 erspan_ver=flow',                 'erspan_dir=flow erspan_hwid=flow erspan_idx=flow erspan_ver=flow remote_ip=1.1.1.1'],
])('%s %s', (type, options, text) => {
  const settings = read(type, options);
  expect(shown(settings)).toBe(text);
  // The text means the same.
  expect(shown(read(type, text))).toBe(text);
});

// biome-ignore format: table
test.each([
  ['18446744073709551615', 2n ** 64n - 1n], ['99999999999999999999', 2n ** 64n - 1n], ['010', 8n], ['0xff', 255n],
  ['-1', 2n ** 64n - 1n], ['x', 0n], ['12x', 12n], ['0', 0n],
])('a key is read as strtoull() does: %s', (text, key) => {
  expect(read('gre', `remote_ip=flow key=${text}`).inKey).toBe(key);
});

test('any options give settings or a reason', () => {
  const key = fc.constantFrom(
    ...['remote_ip', 'local_ip', 'key', 'in_key', 'out_key', 'tos', 'ttl', 'exts', 'packet_type', 'dst_port', 'csum'],
    ...['erspan_ver', 'erspan_idx', 'erspan_dir', 'erspan_hwid', 'payload_type', 'egress_pkt_mark', 'df_default', 'x'],
  );
  const value = fc.oneof(
    fc.constantFrom('flow', 'inherit', '1', '0x7', '1.2.3.4', 'fd00::1', 'gbp', 'gpe', 'ptap', 'true', ''),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.constantFrom(...TUNNEL_TYPES), fc.dictionary(key, value), (type, options) => {
      const result = readTunnelSettings('t', type, new Map(Object.entries(options)));
      if ('why' in result) return result.errno > 0;
      tunnelSettingsToOptions(result.settings);
      return true;
    }),
  );
});
