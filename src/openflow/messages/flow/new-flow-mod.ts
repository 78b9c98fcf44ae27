/**
 * Flow_mods that are made here, not received: what is not said is as in a controller's plainest one.
 */
import { newMatch } from '../../match/match.ts';
import { OFPP } from '../../ofp-port.ts';
import { type FlowMod, OFPFC, OFPG, OFPTT_ALL, UNKNOWN32, UNKNOWN64 } from './flow-types.ts';

/** Of priority 32768, in table 0 (deletions: in all), matching every packet, without actions and timeouts. */
export function newFlowMod(command: keyof typeof OFPFC, part: Partial<FlowMod> = {}): FlowMod {
  return {
    match: newMatch(),
    priority: 0x8000,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: command === 'ADD' ? 0n : UNKNOWN64,
    modifyCookie: false,
    tableId: command.startsWith('DELETE') ? OFPTT_ALL : 0,
    command: OFPFC[command],
    idleTimeout: 0,
    hardTimeout: 0,
    bufferId: UNKNOWN32,
    outPort: OFPP.NONE,
    outGroup: OFPG.ANY,
    flags: 0,
    importance: 0,
    ofpacts: [],
    ...part,
  };
}
