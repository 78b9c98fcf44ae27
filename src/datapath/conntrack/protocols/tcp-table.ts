/**
 * The states of TCP in the connection tracker, and which follows which.  Neighbour: tcp-state.ts.
 * Sources: include/uapi/linux/netfilter/nf_conntrack_tcp.h, net/netfilter/nf_conntrack_proto_tcp.c (tcp_conntracks).
 */

/** enum tcp_conntrack. */
// biome-ignore format: table
export const TCP_STATE = {
  NONE: 0, SYN_SENT: 1, SYN_RECV: 2, ESTABLISHED: 3, FIN_WAIT: 4, CLOSE_WAIT: 5, LAST_ACK: 6, TIME_WAIT: 7, CLOSE: 8,
  SYN_SENT2: 9,
} as const;
/** A segment that cannot be, and one that is let through without a change of state. */
export const [INVALID, IGNORE] = [10, 11] as const;

/**
 * The next state, by direction, state and kind of segment (SYN, SYN and ACK, FIN, ACK, RST, none of these).  A state that
 * is reached from NONE begins a connection: with ES one whose beginning was not seen.
 */
// biome-ignore format: table
const NEXT = compile([
  // The direction of the first packet.
  'NO: SS IV IV ES IV IV', 'SS: SS IV IV IV CL IV', 'SR: IG SR FW ES CL IV', 'ES: IG IV FW ES CL IV',
  'FW: IG IV LA CW CL IV', 'CW: IG IV LA CW CL IV', 'LA: IG IV LA TW CL IV', 'TW: SS IV TW TW CL IV',
  'CL: SS IV CL CL CL IV', 'S2: S2 SR IV IV CL IV',
], [
  // The other one.
  'NO: IV IV IV IV IV IV', 'SS: S2 SR IV IG CL IV', 'SR: IV IG FW SR CL IV', 'ES: IV IG FW ES CL IV',
  'FW: IV IG LA CW CL IV', 'CW: IV IG LA CW CL IV', 'LA: IV IG LA TW CL IV', 'TW: SS IG TW TW CL IV',
  'CL: IV IG CL CL CL IV', 'S2: S2 SR IV IG CL IV',
]);

function compile(...directions: string[][]): Uint8Array {
  const names = ['NO', 'SS', 'SR', 'ES', 'FW', 'CW', 'LA', 'TW', 'CL', 'S2', 'IV', 'IG'];
  return Uint8Array.from(
    directions.flat().flatMap((row) =>
      row
        .slice(4)
        .split(' ')
        .map((n) => names.indexOf(n)),
    ),
  );
}
/** `kind`: of tcp-segment.ts. */
export const nextState = (dir: number, state: number, kind: number): number => NEXT[(dir * 10 + state) * 6 + kind]!;
