/**
 * Requests about the switch as a whole: features, configuration, description, what its ports are.
 * Source: ofproto/ofproto.c (handle_features_request, handle_set_config, handle_desc_stats_request, handle_port_desc_stats_request).
 */
import { ROLE } from '../../../openflow/messages/flow/flow-types.ts';
import { CAPABILITY, type PhyPort } from '../../../openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { OfpactKind } from '../../../openflow/ofpact.ts';
import { RateLimit, vlog } from '../../../util/vlog.ts';
import { FRAG } from '../../xlate/table-lookup.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';

const log = vlog('ofproto');
const limit = new RateLimit(1, 5);

// biome-ignore format: table
const CAPABILITIES = CAPABILITY.FLOW_STATS | CAPABILITY.TABLE_STATS | CAPABILITY.PORT_STATS | CAPABILITY.QUEUE_STATS |
  CAPABILITY.GROUP_STATS | CAPABILITY.BUNDLES | CAPABILITY.ARP_MATCH_IP;

/** Those that a features_reply of OpenFlow 1.0 can tell of. */
// biome-ignore format: names, several on a line
const ACTIONS: readonly OfpactKind[] = [
  'output', 'set_vlan_vid', 'set_vlan_pcp', 'strip_vlan', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst', 'mod_nw_tos',
  'mod_tp_src', 'mod_tp_dst', 'enqueue',
];

const featuresRequest: Handler<'features_request'> = (conn, msg, sw) => {
  const features = {
    datapathId: sw.identity.datapathId,
    // Packets are not kept for controllers.
    nBuffers: 0,
    nTables: sw.tables.tables.filter((t) => !t.isHidden).length,
    auxiliaryId: 0,
    capabilities: CAPABILITIES,
    actions: ACTIONS,
    ports: conn.version <= 3 ? sw.phyPorts() : undefined,
  };
  conn.reply('features_reply', features, msg);
};

const getConfig: Handler<'get_config_request'> = (conn, msg, sw) =>
  conn.reply(
    'get_config_reply',
    {
      frag: sw.fragHandling,
      invalidTtlToController: conn.invalidTtlToController,
      missSendLen: conn.missSendLen,
    },
    msg,
  );

const setConfig: Handler<'set_config'> = (conn, msg, sw) => {
  const { frag, invalidTtlToController, missSendLen } = msg.body;
  const mayChange = conn.kind === 'service' || conn.role !== ROLE.SECONDARY;
  if (mayChange && frag === FRAG.REASM) log.warn(`${sw.name}: unsupported fragment handling mode reassemble`, limit);
  else if (mayChange) sw.fragHandling = frag;
  if (invalidTtlToController !== undefined) conn.invalidTtlToController = invalidTtlToController;
  conn.missSendLen = missSendLen;
};

/** The ports that a request is about; throws OfpError if there is no such port. */
function requestedPorts(sw: OfSwitch, portNo: number): PhyPort[] {
  if (portNo === OFPP.NONE) return sw.phyPorts();
  const port = sw.phyPort(portNo);
  return port === undefined ? [] : [port];
}

export const SWITCH_HANDLERS = {
  features_request: featuresRequest,
  get_config_request: getConfig,
  set_config: setConfig,
  desc_stats_request: (conn, msg, sw) => conn.reply('desc_stats_reply', sw.identity.desc, msg),
  port_desc_stats_request: (conn, msg, sw) =>
    conn.replyList('port_desc_stats_reply', requestedPorts(sw, msg.body), msg),
} satisfies Handlers;
