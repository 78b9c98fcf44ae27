/**
 * Every form that an OpenFlow message has on the wire: 161 of them, one row each.
 *
 * A row's key is Open vSwitch's name (OFPRAW_*).  OFPT are the standard's messages, OFPST its multipart (statistics) messages, NXT and NXST
 * Nicira's, ONFT and ONFST those of the Open Networking Foundation.  `ofp-header.ts` reads and writes the headers that the rows describe.
 * Forms that mean the same have the same kind; `messages/` has a codec for each kind.
 * Source: include/openvswitch/ofp-msgs.h.
 */

export type OfpRawClass = 'OFPT' | 'OFPST' | 'NXT' | 'NXST' | 'ONFT' | 'ONFST';

/** Class, versions ("all": those not yet known as well), number, least bytes of body, size of what may follow (0: nothing), kind. */
// biome-ignore format: table
const ROWS = {
  OFPT_HELLO:                      ['OFPT',  'all',     0,    0,   1,   'hello'],
  OFPT_ERROR:                      ['OFPT',  'all',     1,    4,   1,   'error'],
  OFPT_ECHO_REQUEST:               ['OFPT',  'all',     2,    0,   1,   'echo_request'],
  OFPT_ECHO_REPLY:                 ['OFPT',  'all',     3,    0,   1,   'echo_reply'],
  OFPT_FEATURES_REQUEST:           ['OFPT',  '1.0+',    5,    0,   0,   'features_request'],
  OFPT10_FEATURES_REPLY:           ['OFPT',  '1.0',     6,    24,  48,  'features_reply'],
  OFPT11_FEATURES_REPLY:           ['OFPT',  '1.1-1.2', 6,    24,  64,  'features_reply'],
  OFPT13_FEATURES_REPLY:           ['OFPT',  '1.3+',    6,    24,  0,   'features_reply'],
  OFPT_GET_CONFIG_REQUEST:         ['OFPT',  '1.0+',    7,    0,   0,   'get_config_request'],
  OFPT_GET_CONFIG_REPLY:           ['OFPT',  '1.0+',    8,    4,   0,   'get_config_reply'],
  OFPT_SET_CONFIG:                 ['OFPT',  '1.0+',    9,    4,   0,   'set_config'],
  OFPT10_PACKET_IN:                ['OFPT',  '1.0',     10,   10,  1,   'packet_in'],
  OFPT11_PACKET_IN:                ['OFPT',  '1.1',     10,   16,  1,   'packet_in'],
  OFPT12_PACKET_IN:                ['OFPT',  '1.2',     10,   8,   1,   'packet_in'],
  OFPT13_PACKET_IN:                ['OFPT',  '1.3+',    10,   16,  1,   'packet_in'],
  NXT_PACKET_IN:                   ['NXT',   '1.0+',    17,   24,  1,   'packet_in'],
  NXT_PACKET_IN2:                  ['NXT',   '1.0+',    30,   0,   8,   'packet_in'],
  OFPT10_FLOW_REMOVED:             ['OFPT',  '1.0',     11,   80,  0,   'flow_removed'],
  OFPT11_FLOW_REMOVED:             ['OFPT',  '1.1-1.4', 11,   40,  8,   'flow_removed'],
  OFPT15_FLOW_REMOVED:             ['OFPT',  '1.5+',    11,   16,  8,   'flow_removed'],
  NXT_FLOW_REMOVED:                ['NXT',   '1.0+',    14,   40,  8,   'flow_removed'],
  OFPT10_PORT_STATUS:              ['OFPT',  '1.0',     12,   56,  0,   'port_status'],
  OFPT11_PORT_STATUS:              ['OFPT',  '1.1-1.3', 12,   72,  0,   'port_status'],
  OFPT14_PORT_STATUS:              ['OFPT',  '1.4+',    12,   48,  8,   'port_status'],
  OFPT10_PACKET_OUT:               ['OFPT',  '1.0',     13,   8,   1,   'packet_out'],
  OFPT11_PACKET_OUT:               ['OFPT',  '1.1-1.4', 13,   16,  1,   'packet_out'],
  OFPT15_PACKET_OUT:               ['OFPT',  '1.5+',    13,   8,   1,   'packet_out'],
  OFPT10_FLOW_MOD:                 ['OFPT',  '1.0',     14,   64,  8,   'flow_mod'],
  OFPT11_FLOW_MOD:                 ['OFPT',  '1.1+',    14,   40,  8,   'flow_mod'],
  NXT_FLOW_MOD:                    ['NXT',   '1.0+',    13,   32,  8,   'flow_mod'],
  NXT_GROUP_MOD:                   ['NXT',   '1.0',     31,   16,  8,   'group_mod'],
  OFPT11_GROUP_MOD:                ['OFPT',  '1.1-1.4', 15,   8,   8,   'group_mod'],
  OFPT15_GROUP_MOD:                ['OFPT',  '1.5+',    15,   16,  8,   'group_mod'],
  OFPT10_PORT_MOD:                 ['OFPT',  '1.0',     15,   24,  0,   'port_mod'],
  OFPT11_PORT_MOD:                 ['OFPT',  '1.1-1.3', 16,   32,  0,   'port_mod'],
  OFPT14_PORT_MOD:                 ['OFPT',  '1.4+',    16,   24,  8,   'port_mod'],
  OFPT11_TABLE_MOD:                ['OFPT',  '1.1-1.3', 17,   8,   0,   'table_mod'],
  OFPT14_TABLE_MOD:                ['OFPT',  '1.4+',    17,   8,   8,   'table_mod'],
  OFPT10_BARRIER_REQUEST:          ['OFPT',  '1.0',     18,   0,   0,   'barrier_request'],
  OFPT11_BARRIER_REQUEST:          ['OFPT',  '1.1+',    20,   0,   0,   'barrier_request'],
  OFPT10_BARRIER_REPLY:            ['OFPT',  '1.0',     19,   0,   0,   'barrier_reply'],
  OFPT11_BARRIER_REPLY:            ['OFPT',  '1.1+',    21,   0,   0,   'barrier_reply'],
  OFPT10_QUEUE_GET_CONFIG_REQUEST: ['OFPT',  '1.0',     20,   4,   0,   'queue_get_config_request'],
  OFPT11_QUEUE_GET_CONFIG_REQUEST: ['OFPT',  '1.1-1.3', 22,   8,   0,   'queue_get_config_request'],
  OFPT10_QUEUE_GET_CONFIG_REPLY:   ['OFPT',  '1.0',     21,   8,   8,   'queue_get_config_reply'],
  OFPT11_QUEUE_GET_CONFIG_REPLY:   ['OFPT',  '1.1-1.3', 23,   8,   8,   'queue_get_config_reply'],
  OFPT12_ROLE_REQUEST:             ['OFPT',  '1.2+',    24,   16,  0,   'role_request'],
  NXT_ROLE_REQUEST:                ['NXT',   '1.0+',    10,   4,   0,   'role_request'],
  OFPT12_ROLE_REPLY:               ['OFPT',  '1.2+',    25,   16,  0,   'role_reply'],
  NXT_ROLE_REPLY:                  ['NXT',   '1.0+',    11,   4,   0,   'role_reply'],
  OFPT13_GET_ASYNC_REQUEST:        ['OFPT',  '1.3',     26,   0,   0,   'get_async_request'],
  OFPT14_GET_ASYNC_REQUEST:        ['OFPT',  '1.4+',    26,   0,   0,   'get_async_request'],
  OFPT13_GET_ASYNC_REPLY:          ['OFPT',  '1.3',     27,   24,  0,   'get_async_reply'],
  OFPT14_GET_ASYNC_REPLY:          ['OFPT',  '1.4+',    27,   0,   8,   'get_async_reply'],
  OFPT13_SET_ASYNC:                ['OFPT',  '1.3',     28,   24,  0,   'set_async_config'],
  NXT_SET_ASYNC_CONFIG:            ['NXT',   '1.0+',    19,   24,  0,   'set_async_config'],
  NXT_SET_ASYNC_CONFIG2:           ['NXT',   '1.0-1.3', 27,   0,   8,   'set_async_config'],
  OFPT14_SET_ASYNC:                ['OFPT',  '1.4+',    28,   0,   8,   'set_async_config'],
  OFPT13_METER_MOD:                ['OFPT',  '1.3+',    29,   8,   8,   'meter_mod'],
  ONFT13_ROLE_STATUS:              ['ONFT',  '1.3',     1911, 16,  8,   'role_status'],
  OFPT14_ROLE_STATUS:              ['OFPT',  '1.4+',    30,   16,  8,   'role_status'],
  OFPT14_TABLE_STATUS:             ['OFPT',  '1.4+',    31,   8,   8,   'table_status'],
  NXT_REQUESTFORWARD:              ['NXT',   '1.0-1.2', 132,  8,   8,   'requestforward'],
  ONFT13_REQUESTFORWARD:           ['ONFT',  '1.3',     2350, 8,   8,   'requestforward'],
  OFPT14_REQUESTFORWARD:           ['OFPT',  '1.4+',    32,   8,   8,   'requestforward'],
  OFPT14_BUNDLE_CONTROL:           ['OFPT',  '1.4+',    33,   8,   8,   'bundle_control'],
  ONFT13_BUNDLE_CONTROL:           ['ONFT',  '1.3',     2300, 8,   8,   'bundle_control'],
  OFPT14_BUNDLE_ADD_MESSAGE:       ['OFPT',  '1.4+',    34,   8,   1,   'bundle_add_message'],
  ONFT13_BUNDLE_ADD_MESSAGE:       ['ONFT',  '1.3',     2301, 8,   1,   'bundle_add_message'],
  OFPST_DESC_REQUEST:              ['OFPST', '1.0+',    0,    0,   0,   'desc_stats_request'],
  OFPST_DESC_REPLY:                ['OFPST', '1.0+',    0,    1056, 0,   'desc_stats_reply'],
  OFPST10_FLOW_REQUEST:            ['OFPST', '1.0',     1,    44,  0,   'flow_stats_request'],
  OFPST11_FLOW_REQUEST:            ['OFPST', '1.1+',    1,    32,  8,   'flow_stats_request'],
  NXST_FLOW_REQUEST:               ['NXST',  '1.0',     0,    8,   8,   'flow_stats_request'],
  OFPST10_FLOW_REPLY:              ['OFPST', '1.0',     1,    0,   1,   'flow_stats_reply'],
  OFPST11_FLOW_REPLY:              ['OFPST', '1.1-1.2', 1,    0,   1,   'flow_stats_reply'],
  OFPST13_FLOW_REPLY:              ['OFPST', '1.3-1.4', 1,    0,   1,   'flow_stats_reply'],
  OFPST15_FLOW_REPLY:              ['OFPST', '1.5+',    1,    0,   1,   'flow_stats_reply'],
  NXST_FLOW_REPLY:                 ['NXST',  '1.0',     0,    0,   1,   'flow_stats_reply'],
  OFPST10_AGGREGATE_REQUEST:       ['OFPST', '1.0',     2,    44,  0,   'aggregate_stats_request'],
  OFPST11_AGGREGATE_REQUEST:       ['OFPST', '1.1-1.4', 2,    32,  8,   'aggregate_stats_request'],
  OFPST15_AGGREGATE_REQUEST:       ['OFPST', '1.5+',    2,    32,  8,   'aggregate_stats_request'],
  NXST_AGGREGATE_REQUEST:          ['NXST',  '1.0',     1,    8,   8,   'aggregate_stats_request'],
  OFPST_AGGREGATE_REPLY:           ['OFPST', '1.0-1.4', 2,    24,  0,   'aggregate_stats_reply'],
  OFPST15_AGGREGATE_REPLY:         ['OFPST', '1.5+',    2,    0,   1,   'aggregate_stats_reply'],
  NXST_AGGREGATE_REPLY:            ['NXST',  '1.0',     1,    24,  0,   'aggregate_stats_reply'],
  OFPST_TABLE_REQUEST:             ['OFPST', '1.0+',    3,    0,   0,   'table_stats_request'],
  OFPST10_TABLE_REPLY:             ['OFPST', '1.0',     3,    0,   64,  'table_stats_reply'],
  OFPST11_TABLE_REPLY:             ['OFPST', '1.1',     3,    0,   88,  'table_stats_reply'],
  OFPST12_TABLE_REPLY:             ['OFPST', '1.2',     3,    0,   128, 'table_stats_reply'],
  OFPST13_TABLE_REPLY:             ['OFPST', '1.3+',    3,    0,   24,  'table_stats_reply'],
  OFPST10_PORT_REQUEST:            ['OFPST', '1.0',     4,    8,   0,   'port_stats_request'],
  OFPST11_PORT_REQUEST:            ['OFPST', '1.1+',    4,    8,   0,   'port_stats_request'],
  OFPST10_PORT_REPLY:              ['OFPST', '1.0',     4,    0,   104, 'port_stats_reply'],
  OFPST11_PORT_REPLY:              ['OFPST', '1.1-1.2', 4,    0,   104, 'port_stats_reply'],
  OFPST13_PORT_REPLY:              ['OFPST', '1.3',     4,    0,   112, 'port_stats_reply'],
  OFPST14_PORT_REPLY:              ['OFPST', '1.4+',    4,    0,   8,   'port_stats_reply'],
  OFPST10_QUEUE_REQUEST:           ['OFPST', '1.0',     5,    8,   0,   'queue_stats_request'],
  OFPST11_QUEUE_REQUEST:           ['OFPST', '1.1+',    5,    8,   0,   'queue_stats_request'],
  OFPST10_QUEUE_REPLY:             ['OFPST', '1.0',     5,    0,   32,  'queue_stats_reply'],
  OFPST11_QUEUE_REPLY:             ['OFPST', '1.1-1.2', 5,    0,   32,  'queue_stats_reply'],
  OFPST13_QUEUE_REPLY:             ['OFPST', '1.3',     5,    0,   40,  'queue_stats_reply'],
  OFPST14_QUEUE_REPLY:             ['OFPST', '1.4+',    5,    0,   8,   'queue_stats_reply'],
  NXST_GROUP_REQUEST:              ['NXST',  '1.0',     7,    8,   0,   'group_stats_request'],
  OFPST11_GROUP_REQUEST:           ['OFPST', '1.1+',    6,    8,   0,   'group_stats_request'],
  NXST_GROUP_REPLY:                ['NXST',  '1.0',     7,    0,   8,   'group_stats_reply'],
  OFPST11_GROUP_REPLY:             ['OFPST', '1.1-1.2', 6,    0,   8,   'group_stats_reply'],
  OFPST13_GROUP_REPLY:             ['OFPST', '1.3+',    6,    0,   8,   'group_stats_reply'],
  NXST_GROUP_DESC_REQUEST:         ['NXST',  '1.0',     8,    8,   0,   'group_desc_stats_request'],
  OFPST11_GROUP_DESC_REQUEST:      ['OFPST', '1.1-1.4', 7,    0,   0,   'group_desc_stats_request'],
  OFPST15_GROUP_DESC_REQUEST:      ['OFPST', '1.5+',    7,    8,   0,   'group_desc_stats_request'],
  NXST_GROUP_DESC_REPLY:           ['NXST',  '1.0',     8,    0,   8,   'group_desc_stats_reply'],
  OFPST11_GROUP_DESC_REPLY:        ['OFPST', '1.1+',    7,    0,   8,   'group_desc_stats_reply'],
  NXST_GROUP_FEATURES_REQUEST:     ['NXST',  '1.0-1.1', 9,    0,   0,   'group_features_stats_request'],
  OFPST12_GROUP_FEATURES_REQUEST:  ['OFPST', '1.2+',    8,    0,   0,   'group_features_stats_request'],
  NXST_GROUP_FEATURES_REPLY:       ['NXST',  '1.0-1.1', 9,    40,  0,   'group_features_stats_reply'],
  OFPST12_GROUP_FEATURES_REPLY:    ['OFPST', '1.2+',    8,    40,  0,   'group_features_stats_reply'],
  OFPST13_METER_REQUEST:           ['OFPST', '1.3+',    9,    8,   0,   'meter_stats_request'],
  OFPST13_METER_REPLY:             ['OFPST', '1.3+',    9,    0,   8,   'meter_stats_reply'],
  OFPST13_METER_CONFIG_REQUEST:    ['OFPST', '1.3+',    10,   8,   0,   'meter_config_stats_request'],
  OFPST13_METER_CONFIG_REPLY:      ['OFPST', '1.3+',    10,   0,   8,   'meter_config_stats_reply'],
  OFPST13_METER_FEATURES_REQUEST:  ['OFPST', '1.3+',    11,   0,   0,   'meter_features_stats_request'],
  OFPST13_METER_FEATURES_REPLY:    ['OFPST', '1.3+',    11,   16,  0,   'meter_features_stats_reply'],
  OFPST13_TABLE_FEATURES_REQUEST:  ['OFPST', '1.3+',    12,   0,   8,   'table_features_stats_request'],
  OFPST13_TABLE_FEATURES_REPLY:    ['OFPST', '1.3+',    12,   64,  8,   'table_features_stats_reply'],
  OFPST14_TABLE_DESC_REQUEST:      ['OFPST', '1.4+',    14,   0,   0,   'table_desc_request'],
  OFPST14_TABLE_DESC_REPLY:        ['OFPST', '1.4+',    14,   8,   8,   'table_desc_reply'],
  OFPST10_PORT_DESC_REQUEST:       ['OFPST', '1.0-1.4', 13,   0,   0,   'port_desc_stats_request'],
  OFPST15_PORT_DESC_REQUEST:       ['OFPST', '1.5+',    13,   8,   0,   'port_desc_stats_request'],
  OFPST10_PORT_DESC_REPLY:         ['OFPST', '1.0',     13,   0,   48,  'port_desc_stats_reply'],
  OFPST11_PORT_DESC_REPLY:         ['OFPST', '1.1-1.3', 13,   0,   64,  'port_desc_stats_reply'],
  OFPST14_PORT_DESC_REPLY:         ['OFPST', '1.4+',    13,   0,   8,   'port_desc_stats_reply'],
  OFPST14_QUEUE_DESC_REQUEST:      ['OFPST', '1.4+',    15,   8,   0,   'queue_get_config_request'],
  OFPST14_QUEUE_DESC_REPLY:        ['OFPST', '1.4+',    15,   0,   8,   'queue_get_config_reply'],
  OFPST14_FLOW_MONITOR_REQUEST:    ['OFPST', '1.4+',    16,   0,   8,   'flow_monitor_stats_request'],
  ONFST13_FLOW_MONITOR_REQUEST:    ['ONFST', '1.3',     1870, 0,   8,   'flow_monitor_stats_request'],
  NXST_FLOW_MONITOR_REQUEST:       ['NXST',  '1.0-1.2', 2,    0,   8,   'flow_monitor_stats_request'],
  OFPST14_FLOW_MONITOR_REPLY:      ['OFPST', '1.4+',    16,   0,   8,   'flow_monitor_stats_reply'],
  ONFST13_FLOW_MONITOR_REPLY:      ['ONFST', '1.3',     1870, 0,   8,   'flow_monitor_stats_reply'],
  NXST_FLOW_MONITOR_REPLY:         ['NXST',  '1.0-1.2', 2,    0,   8,   'flow_monitor_stats_reply'],
  ONFT13_FLOW_MONITOR_CANCEL:      ['ONFT',  '1.3',     1870, 4,   0,   'flow_monitor_cancel'],
  NXT_FLOW_MONITOR_CANCEL:         ['NXT',   '1.0-1.2', 21,   4,   0,   'flow_monitor_cancel'],
  ONFT13_FLOW_MONITOR_PAUSED:      ['ONFT',  '1.3',     1871, 0,   0,   'flow_monitor_paused'],
  NXT_FLOW_MONITOR_PAUSED:         ['NXT',   '1.0-1.2', 22,   0,   0,   'flow_monitor_paused'],
  ONFT13_FLOW_MONITOR_RESUMED:     ['ONFT',  '1.3',     1872, 0,   0,   'flow_monitor_resumed'],
  NXT_FLOW_MONITOR_RESUMED:        ['NXT',   '1.0-1.2', 23,   0,   0,   'flow_monitor_resumed'],
  NXT_SET_FLOW_FORMAT:             ['NXT',   '1.0',     12,   4,   0,   'set_flow_format'],
  NXT_FLOW_MOD_TABLE_ID:           ['NXT',   '1.0+',    15,   8,   0,   'flow_mod_table_id'],
  NXT_SET_PACKET_IN_FORMAT:        ['NXT',   '1.0+',    16,   4,   0,   'set_packet_in_format'],
  NXT_FLOW_AGE:                    ['NXT',   '1.0+',    18,   0,   0,   'flow_age'],
  NXT_SET_CONTROLLER_ID:           ['NXT',   '1.0+',    20,   8,   0,   'set_controller_id'],
  NXT_TLV_TABLE_MOD:               ['NXT',   '1.0+',    24,   8,   8,   'nxt_tlv_table_mod'],
  NXT_TLV_TABLE_REQUEST:           ['NXT',   '1.0+',    25,   0,   0,   'nxt_tlv_table_request'],
  NXT_TLV_TABLE_REPLY:             ['NXT',   '1.0+',    26,   16,  8,   'nxt_tlv_table_reply'],
  NXT_RESUME:                      ['NXT',   '1.0+',    28,   0,   8,   'nxt_resume'],
  NXT_CT_FLUSH_ZONE:               ['NXT',   '1.0+',    29,   8,   0,   'ct_flush_zone'],
  NXT_CT_FLUSH:                    ['NXT',   '1.0+',    32,   8,   8,   'ct_flush'],
  NXST_IPFIX_BRIDGE_REQUEST:       ['NXST',  '1.0+',    3,    0,   0,   'ipfix_bridge_stats_request'],
  NXST_IPFIX_BRIDGE_REPLY:         ['NXST',  '1.0+',    3,    88,  0,   'ipfix_bridge_stats_reply'],
  NXST_IPFIX_FLOW_REQUEST:         ['NXST',  '1.0+',    4,    0,   0,   'ipfix_flow_stats_request'],
  NXST_IPFIX_FLOW_REPLY:           ['NXST',  '1.0+',    4,    0,   88,  'ipfix_flow_stats_reply'],
} as const satisfies Record<string, readonly [OfpRawClass, string, number, number, number, string]>;

/** "OFPT10_PACKET_IN". */
export type OfpRawName = keyof typeof ROWS;
/** What a message is about, whatever its form: "packet_in".  Open vSwitch's OFPTYPE_*. */
export type OfKind = (typeof ROWS)[OfpRawName][5];

/** One form of a message.  There is one object for each, so that `===` compares them. */
export interface OfpRaw {
  readonly name: OfpRawName;
  /** "OFPT_PACKET_IN", "OFPST_FLOW reply": as messages are printed. */
  readonly text: string;
  readonly class: OfpRawClass;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly number: number;
  readonly minBody: number;
  readonly multiple: number;
  readonly kind: OfKind;
  /** Whether it is a multipart message, and which half. */
  readonly multipart: 'request' | 'reply' | undefined;
}

function parseRow(name: OfpRawName): OfpRaw {
  const [cls, versions, number, minBody, multiple, kind] = ROWS[name];
  const m = /^1\.(\d)(?:-1\.(\d)|(\+))?$/.exec(versions);
  const minVersion = m === null ? 0 : Number(m[1]) + 1;
  const maxVersion = m === null ? 255 : m[3] !== undefined ? 6 : m[2] !== undefined ? Number(m[2]) + 1 : minVersion;
  const isStat = cls === 'OFPST' || cls === 'NXST' || cls === 'ONFST';
  return Object.freeze({
    name,
    text: name
      .replace(/^([A-Z]+)1\d_/, '$1_')
      .replace(isStat ? /_(REQUEST|REPLY)$/ : /$^/, (half) => half.replace('_', ' ').toLowerCase()),
    class: cls,
    minVersion,
    maxVersion,
    number,
    minBody,
    multiple,
    kind,
    multipart: !isStat ? undefined : name.endsWith('_REQUEST') ? 'request' : 'reply',
  });
}

/** Every form by its name: `OFPRAW.OFPT11_FLOW_MOD`. */
export const OFPRAW: { readonly [name in OfpRawName]: OfpRaw } = Object.freeze(
  Object.fromEntries((Object.keys(ROWS) as OfpRawName[]).map((name) => [name, parseRow(name)])),
) as { readonly [name in OfpRawName]: OfpRaw };

/** The forms of each kind, in the table's order. */
export const RAWS_OF_KIND: ReadonlyMap<OfKind, readonly OfpRaw[]> = (() => {
  const map = new Map<OfKind, OfpRaw[]>();
  for (const raw of Object.values(OFPRAW)) {
    const list = map.get(raw.kind);
    if (list === undefined) map.set(raw.kind, [raw]);
    else list.push(raw);
  }
  return map;
})();

/** The first form of `kind` that `version` has, the standard's before an experimenter's; undefined: the version cannot say it. */
export function rawFor(kind: OfKind, version: number): OfpRaw | undefined {
  let found: OfpRaw | undefined;
  for (const raw of RAWS_OF_KIND.get(kind) ?? []) {
    if (version < raw.minVersion || version > raw.maxVersion) continue;
    if (raw.class === 'OFPT' || raw.class === 'OFPST') return raw;
    found ??= raw;
  }
  return found;
}
