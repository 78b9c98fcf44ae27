/** Keys to nests and back, and the text of action lists that the switch makes. */
import type { FlowKey, FlowMask } from '../../src/flow/flow-key.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { odpMaskToFlow } from '../../src/odp/key/odp-key.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow, odpKeyFromMask } from '../../src/odp/key/odp-key-build.ts';

const SUPPORT = { ...KERNEL_SUPPORT, maxVlanHeaders: 2 };

export const keyNest = (key: FlowKey): Uint8Array => odpKeyFromFlow(key, SUPPORT);

/** What is left of a mask that goes into the datapath and comes back. */
export function throughNest(key: FlowKey, wc: FlowMask): FlowMask {
  const mask = newFlowKey();
  odpMaskToFlow(odpKeyFromMask(wc, key, SUPPORT), mask, key, 2);
  return mask;
}

/** "1,push_vlan(8100,100a),2": outputs by number. */
export function actionsText(actions: Uint8Array): string {
  const dv = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const out: string[] = [];
  for (let at = 0; at + 4 <= actions.length; ) {
    const size = dv.getUint16(at, true);
    const type = dv.getUint16(at + 2, true) & 0x3fff;
    if (type === 1) out.push(String(dv.getUint32(at + 4, true)));
    else if (type === 4)
      out.push(`push_vlan(${dv.getUint16(at + 4).toString(16)},${dv.getUint16(at + 6).toString(16)})`);
    else if (type === 5) out.push('pop_vlan');
    else if (type === 2) out.push('userspace');
    else out.push(`action${type}`);
    at += (size + 3) & ~3;
  }
  return out.join(',') || 'drop';
}
