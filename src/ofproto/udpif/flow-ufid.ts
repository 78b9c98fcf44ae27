/**
 * The UFIDs of flows that we install: a hash of the key as the datapath sent it, with a seed of this process, so that nobody
 * outside can make two keys that collide.  Source: lib/odp-util.c (odp_flow_key_hash).
 */
import { randomInt } from 'node:crypto';
import type { Nest, Ufid } from '../../dpif/dpif-types.ts';
import { hashToUfid } from '../../odp/odp-ufid.ts';

const seed = randomInt(2 ** 32);

/** The UFID of a key.  Once an upcall. */
export const flowUfid = (key: Nest): Ufid => hashToUfid(key, seed);
