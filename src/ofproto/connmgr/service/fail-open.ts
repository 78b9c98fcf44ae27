/**
 * Fail-open: when no controller has been reached for three times the longest probe interval, the switch forwards by itself, as if it had
 * none, until one takes it again.  One that is connected but says nothing yet gets packet_ins to answer: without new flows there might not
 * be any, and whoever waits for them would wait for ever.
 * Source: ofproto/fail-open.c, lib/packets.c (compose_rarp).
 */
import { randomBytes } from 'node:crypto';
import { FIELD } from '../../../flow/fields.ts';
import { newFlow, setField } from '../../../flow/flow-key.ts';
import { UNKNOWN32, UNKNOWN64 } from '../../../openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../openflow/messages/flow/new-flow-mod.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { vlog } from '../../../util/vlog.ts';
import { metadataMatch } from '../../packet-in.ts';
import type { FlowTables } from '../../tables/flow-tables.ts';
import type { PacketInEvent } from '../../xlate/xbridge.ts';
import { OFPR } from '../events/async-masks.ts';

const log = vlog('fail_open');

/** FAIL_OPEN_PRIORITY: higher than any that a controller can give. */
const PRIORITY = 0xf0f0f0;
/** How often it is said that nothing has changed. */
const REMINDER_SEC = 60;
const BOGUS_INTERVAL_MS = 2000;

/** How controllers are doing. */
export interface ControllerHealth {
  /** For how long all of them have been away; 0: at least one is there. */
  readonly failureSec: number;
  readonly maxProbeSec: number;
  readonly isAnyAdmitted: boolean;
}

export class FailOpen {
  /** 0: it is not active. */
  private sinceSec = 0;
  /** When the next packet_in that nobody caused is due; undefined: nobody would get it. */
  private bogusMs: number | undefined;

  get isActive(): boolean {
    return this.sinceSec !== 0;
  }

  /** `flush` empties the tables, and calls `flushed` then. */
  run({ failureSec, maxProbeSec, isAnyAdmitted }: ControllerHealth, tables: FlowTables, flush: () => void): void {
    if (this.isActive && isAnyAdmitted) {
      this.end(tables);
      return;
    }
    if (failureSec === 0 || failureSec < 3 * maxProbeSec) return;
    if (!this.isActive) {
      log.warn(
        "Could not connect to controller (or switch failed controller's post-connection admission control policy) " +
          `for ${failureSec} seconds, failing open`,
      );
      this.sinceSec = failureSec;
      flush();
    } else if (failureSec > this.sinceSec + REMINDER_SEC) {
      log.info(`Still in fail-open mode after ${failureSec} seconds disconnected from controller`);
      this.sinceSec = failureSec;
    }
  }

  /** The tables have been emptied. */
  flushed(tables: FlowTables): void {
    if (this.isActive) tables.apply(rule('ADD'), true);
  }

  /** `send` gets packet_ins to which a controller might react. */
  tempt(isAnyConnected: boolean, nowMs: number, send: (event: PacketInEvent) => void): void {
    if (!this.isActive || !isAnyConnected) {
      this.bogusMs = undefined;
      return;
    }
    const isDue = this.bogusMs !== undefined && nowMs >= this.bogusMs;
    if (isDue) send(bogusPacketIn());
    if (isDue || this.bogusMs === undefined) this.bogusMs = nowMs + BOGUS_INTERVAL_MS;
  }

  end(tables: FlowTables): void {
    if (!this.isActive) return;
    log.warn('No longer in fail-open mode');
    this.sinceSec = 0;
    tables.apply(rule('DELETE_STRICT'), true);
  }
}

const rule = (command: 'ADD' | 'DELETE_STRICT') =>
  newFlowMod(command, { priority: PRIORITY, tableId: 0, ofpacts: [{ kind: 'output', port: OFPP.NORMAL, maxLen: 0 }] });

/** A reverse ARP request from an address that nobody has. */
function bogusPacketIn(): PacketInEvent {
  const mac = Buffer.concat([Buffer.of(0x00, 0x23, 0x20), randomBytes(3)]);
  mac[3] = (mac[3] as number) | 0x80;
  const none = Buffer.alloc(4);
  const rarp = Buffer.from('0001080006040003', 'hex');
  const packet = Buffer.concat([Buffer.alloc(6, 0xff), mac, Buffer.of(0x80, 0x35), rarp, mac, none, mac, none]);
  const flow = newFlow();
  setField(flow, FIELD.inPort, OFPP.LOCAL);
  return {
    packetIn: {
      packet: new Uint8Array(packet),
      totalLen: packet.length,
      bufferId: UNKNOWN32,
      flowMetadata: metadataMatch(flow),
      reason: OFPR.NO_MATCH,
      tableId: 0,
      cookie: UNKNOWN64,
      userdata: new Uint8Array(),
      continuation: undefined,
    },
    controllerId: 0,
    maxLen: 0xffff,
    private: undefined,
  };
}
