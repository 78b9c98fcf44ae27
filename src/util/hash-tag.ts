/**
 * A byte of a hash for each place of a hash table, 0 for an empty one: most look-ups that fail end at it, and what holds such bytes stays in a
 * processor's cache where the table does not.  Users: the datapath's flow table, the hash tables of the OpenFlow classifier.
 */

/** The upper bits of a 32-bit hash, whose lower ones say the place; never 0.  Hot path. */
export const tagOf = (hash: number): number => (hash >>> 25) | 0x80;
