/**
 * Changes of meters, and what is told of them.  A meter_mod is answered, and what follows it begins, when the datapath has the meter.
 * Source: ofproto/ofproto.c (handle_meter_mod, handle_meter_request).
 */
import type { Handlers } from '../handler.ts';

/** OFPRFR_METER_MOD. */
const REASON_METER_MOD = 1;
/** Versions before 1.3 have no meters. */
const FIRST_VERSION = 4;

export const METER_HANDLERS = {
  meter_mod: async (conn, msg, sw) => {
    const meterMod = msg.body;
    await sw.meters.apply(meterMod);
    for (const other of sw.conns) {
      if (other === conn || other.version < FIRST_VERSION || !other.wants('requestForward', REASON_METER_MOD)) continue;
      other.send('requestforward', { reason: 'meter_mod', xid: msg.xid, meterMod });
    }
  },
  meter_stats_request: async (conn, msg, sw) => {
    conn.replyList('meter_stats_reply', await sw.meters.stats(msg.body), msg);
  },
  meter_config_stats_request: (conn, msg, sw) => {
    conn.replyList('meter_config_stats_reply', sw.meters.configs(msg.body), msg);
  },
  meter_features_stats_request: (conn, msg, sw) => {
    conn.reply('meter_features_stats_reply', sw.meters.features, msg);
  },
} satisfies Handlers;
