/**
 * Requests about single ports: their statistics, and what an administrator wants of them.
 * Source: ofproto/ofproto.c (handle_port_stats_request, handle_port_mod).
 */
import type { PortMod } from '../../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { OfConn } from '../ofconn.ts';

/** Throws OfpError unless there is such a port, with that address. */
export function checkPortMod({ portNo, hwAddr }: PortMod, sw: OfSwitch): void {
  const port = sw.phyPort(portNo);
  if (port === undefined) throw new OfpError(OFPERR.OFPPMFC_BAD_PORT, `port ${portNo}`);
  if (port.hwAddr.some((byte, i) => byte !== hwAddr[i])) throw new OfpError(OFPERR.OFPPMFC_BAD_HW_ADDR, port.name);
}

/** Carries out a port_mod that was checked, on behalf of the request `xid` of `conn`. */
export const applyPortMod = (conn: OfConn, xid: number, pm: PortMod, sw: OfSwitch): Promise<void> =>
  sw.ports.configure(pm.portNo, pm.config, pm.mask, (apply) => sw.conns.act(conn, xid, apply));

const portMod: Handler<'port_mod'> = (conn, msg, sw) => {
  checkPortMod(msg.body, sw);
  return applyPortMod(conn, msg.xid, msg.body, sw);
};

export const PORT_HANDLERS = {
  port_stats_request: async (conn, msg, sw) => conn.replyList('port_stats_reply', await sw.ports.stats(msg.body), msg),
  port_mod: portMod,
} satisfies Handlers;
