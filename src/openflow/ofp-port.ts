/**
 * OpenFlow port numbers and configuration bits as this switch uses them inside: the 16-bit numbers of OpenFlow 1.0.
 * Source: include/openflow/openflow-common.h, OpenFlow 1.0.2 5.2.1.
 */

/** Reserved port numbers. */
// biome-ignore format: table
export const OFPP = {
  /** One past the highest number that a port can have. */
  MAX:        0xff00,
  UNSET:      0xfff7, // action set without output
  IN_PORT:    0xfff8, // back where it came from
  TABLE:      0xfff9, // through the flow tables again
  NORMAL:     0xfffa, // as a learning switch does
  FLOOD:      0xfffb, // all ports that do not say "no-flood", but the input port
  ALL:        0xfffc, // all ports but the input port
  CONTROLLER: 0xfffd,
  LOCAL:      0xfffe, // the bridge's own
  NONE:       0xffff,
} as const;

/** OFPPC_*: what an administrator says of a port. */
// biome-ignore format: table
export const OFPPC = {
  PORT_DOWN:    1 << 0,
  NO_STP:       1 << 1,
  NO_RECV:      1 << 2, // drop what comes in, but 802.1D
  NO_RECV_STP:  1 << 3, // drop 802.1D that comes in
  NO_FLOOD:     1 << 4, // leave out when flooding
  NO_FWD:       1 << 5, // send nothing out
  NO_PACKET_IN: 1 << 6, // a table miss sends nothing to a controller
} as const;

const RESERVED_NAMES = new Map<number, string>(
  Object.entries(OFPP)
    .filter(([name]) => name !== 'MAX')
    .map(([name, n]) => [n, name]),
);

/** "LOCAL" for 65534, "3" for 3. */
export const ofpPortName = (ofport: number): string => RESERVED_NAMES.get(ofport) ?? String(ofport);
