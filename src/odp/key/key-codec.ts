/**
 * Moves the fixed-size OVS_KEY_ATTR_* attributes between their payloads and a FlowKey (or mask), by `key-table.ts`.
 * Cold path: flow installation and dumps.  The upcall path has its own code in datapath/ and dpif-netlink/.
 */
import { type FlowKey, getField, getFieldBytes, setField, setFieldBytes } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import type { KeyMember, KeyRow } from './key-table.ts';

function load(dv: DataView, at: number, m: KeyMember): number {
  const little = m.order === 'host' && LITTLE_ENDIAN;
  if (m.size === 1) return dv.getUint8(at);
  return m.size === 2 ? dv.getUint16(at, little) : dv.getUint32(at, little);
}

function store(dv: DataView, at: number, m: KeyMember, value: number): void {
  const little = m.order === 'host' && LITTLE_ENDIAN;
  if (m.size === 1) dv.setUint8(at, value);
  else if (m.size === 2) dv.setUint16(at, value, little);
  else dv.setUint32(at, value, little);
}

const bytesOf = (dv: DataView) => new Uint8Array(dv.buffer, dv.byteOffset, dv.byteLength);

/** Reads every member of `row` from the payload at `at` into `key`.  The caller has checked the payload's size. */
export function loadKeyAttr(row: KeyRow, dv: DataView, at: number, key: FlowKey): void {
  for (const m of row.members) {
    if (m.size > 4) setFieldBytes(key, m.field, bytesOf(dv), at + m.at);
    else setField(key, m.field, load(dv, at + m.at, m));
  }
}

/**
 * Writes every member of `row` from `key` to the payload at `at`, whose `row.size` bytes must be zero.  `bytes` are those of `dv`: whoever has
 * them spares a view of them for each address.
 */
export function storeKeyAttr(row: KeyRow, key: FlowKey, dv: DataView, at: number, bytes = bytesOf(dv)): void {
  for (const m of row.members) {
    if (m.size > 4) getFieldBytes(key, m.field, bytes, at + m.at);
    else store(dv, at + m.at, m, getField(key, m.field));
  }
}
