/**
 * Validates a list of actions when it is installed, as the kernel does, and makes the program that actions.ts runs.
 * Everything that can be checked is checked here: running checks only what depends on the packet.
 *
 * Validation follows what the actions do to the packet (PacketShape).  A list inside an action begins with the shape at
 * that action; what it does there is forgotten after it.  `action-compiler.ts` goes through the lists.
 * Source: net/openvswitch/flow_netlink.c (ovs_nla_copy_actions and below).
 */

import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField, mplsLabels } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN } from '../../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../../netlink/errors.ts';
import { OVS_ACTION_ATTR } from '../../odp/action-attrs.ts';
import { isMplsType } from '../../packet/ethernet.ts';
import { ERRNO } from '../../util/errno.ts';
import { DEFAULT_KERNEL } from '../kernel-compat.ts';
import { ActionCompiler } from './action-compiler.ts';
import type { ActionProgram } from './action-program.ts';
import type { PacketShape } from './compile-set.ts';
import { keptActions } from './kept-actions.ts';

const A = OVS_ACTION_ATTR;

/**
 * Compiles the action list in bytes `[at, at + size)` of `dv` for packets of `key`, the masked key of their flow or the
 * whole key of a packet to be executed.  Throws NetlinkError: EINVAL for what is wrong, EOVERFLOW for lists nested too
 * deep, EMSGSIZE and ERANGE as the kernel.
 */
export function compileActions(
  dv: DataView,
  at: number,
  size: number,
  key: FlowKey,
  kernelCompat: number = DEFAULT_KERNEL,
): ActionProgram {
  let program = knownProgram(dv, at, size);
  if (program !== undefined) return program;
  program = compile(dv, at, size, key, kernelCompat);
  if (isOutput(dv, at, size)) outputs.set(dv.getUint32(at + NLA_HDRLEN, LITTLE_ENDIAN), program);
  return program;
}

/**
 * The program of a list that needs no key to be checked against, if it was compiled before.  Most flows have one output, and no packet's
 * shape matters to that: they share a program.
 */
export function knownProgram(dv: DataView, at: number, size: number): ActionProgram | undefined {
  return isOutput(dv, at, size) ? outputs.get(dv.getUint32(at + NLA_HDRLEN, LITTLE_ENDIAN)) : undefined;
}

const isOutput = (dv: DataView, at: number, size: number): boolean =>
  size === OUTPUT_SIZE &&
  dv.getUint16(at, LITTLE_ENDIAN) === OUTPUT_SIZE &&
  dv.getUint16(at + 2, LITTLE_ENDIAN) === A.OUTPUT;

/** An OUTPUT action: its header and a port number. */
const OUTPUT_SIZE = NLA_HDRLEN + 4;
/** The programs of a single output, by port. */
const outputs = new Map<number, ActionProgram>();

function compile(dv: DataView, at: number, size: number, key: FlowKey, kernelCompat: number): ActionProgram {
  let compiler = compileList(dv, at, size, key, kernelCompat, false);
  let bytes = new Uint8Array(dv.buffer, dv.byteOffset + at, size).slice();
  if (!compiler.isKeptForm) {
    // A list is shown as the kernel keeps it, and places in it count from there.
    bytes = keptActions(dv, at, size, compiler.cts);
    compiler = compileList(new DataView(bytes.buffer), 0, bytes.length, key, kernelCompat, true);
  }
  return {
    code: Int32Array.from(compiler.code),
    ...(compiler.cts.length > 0 && { cts: compiler.cts }),
    ...(compiler.tunnels.length > 0 && { tunnels: compiler.tunnels }),
    bytes,
  };
}

/** `wasChecked`: this is a kept form, whose attributes have no flags any more. */
function compileList(
  dv: DataView,
  at: number,
  size: number,
  key: FlowKey,
  kernelCompat: number,
  wasChecked: boolean,
): ActionCompiler {
  const compiler = new ActionCompiler(dv, at, key, kernelCompat, wasChecked);
  const shape: PacketShape = {
    ethType: getField(key, FIELD.ethType),
    vlanTci: getField(key, FIELD.vlanTci),
    nshNp: getField(key, FIELD.nshNp),
    nMpls: isMplsType(getField(key, FIELD.ethType)) ? mplsLabels(key) : 0,
    hasEthernet: getField(key, FIELD.packetType) === 0,
  };
  try {
    compiler.list(at, size, shape, 0);
  } catch (e) {
    if (e instanceof NetlinkFormatError) throw new NetlinkError(ERRNO.EINVAL, e.message);
    throw e;
  }
  return compiler;
}
