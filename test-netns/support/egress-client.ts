/**
 * Has the datapath of the network namespace that it is started in tell how a packet would leave by a tunnel.
 *
 *     egress-client.ts PORT ACTIONS
 *
 * Executes ACTIONS and then a userspace action that asks for the egress tunnel key of datapath port PORT of dp0, and prints the key that comes
 * up, as a flow's "tunnel(...)"; "none" if none does.  tunnel.test.ts says what it must be.
 */
import type { DpifExecute } from '../../src/dpif/dpif-types.ts';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { resolveEndpoint } from '../../src/netlink/genl-family.ts';
import { openSocketTransport } from '../../src/netlink/socket.ts';
import { OVS_KEY_ATTR } from '../../src/odp/key/key-table.ts';
import { formatOdpKeyAttr } from '../../src/odp/text/odp-format-key.ts';
import { parseOdpActions } from '../../src/odp/text/odp-parse-actions.ts';
import { parseOdpFlow } from '../../src/odp/text/odp-parse-key.ts';

const [port = '', actions = ''] = process.argv.slice(2);
const FRAME = 'ffffffffffff0200000000010800450000200000400040117a880a0000010a00000204d2162e000c00000102030405060708';

const provider = new DpifNetlinkProvider(() => resolveEndpoint('emulated', openSocketTransport));
const dpif = await provider.open('dp0', false);
let tell: (key: Uint8Array | undefined) => void = () => undefined;
const told = new Promise<Uint8Array | undefined>((resolve) => {
  tell = resolve;
});
await dpif.setUpcallHandler((upcalls) => {
  for (const { userdata, egressTunKey } of upcalls) if (userdata?.[0] === 0x42) tell(egressTunKey?.slice());
});
const pid = dpif.upcallPid?.(undefined) ?? 0;
const op: DpifExecute = {
  type: 'execute',
  key: parseOdpFlow('in_port(0)').key,
  actions: parseOdpActions(`${actions},userspace(pid=${pid},userdata(42),tunnel_out_port=${port})`),
  packet: Buffer.from(FRAME, 'hex'),
};
await dpif.operate([op]);
if (op.result !== 0) throw new Error(`execution failed: errno ${op.result}`);
const nest = await told;
console.log(nest === undefined ? 'none' : formatOdpKeyAttr({ type: OVS_KEY_ATTR.TUNNEL, data: nest }, undefined, true));
dpif.close();
provider.close();
