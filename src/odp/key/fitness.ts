/**
 * How well a nest of OVS_KEY_ATTR_* says what its lower layers promise: `odp-key.ts` finds out, and its callers decide what they do then.
 * Source: lib/odp-util.h (enum odp_key_fitness).
 */

/** How well a nest says what it should; greater is worse. */
export const ODP_FIT = { PERFECT: 0, TOO_MUCH: 1, TOO_LITTLE: 2, ERROR: 3 } as const;
export type OdpFit = (typeof ODP_FIT)[keyof typeof ODP_FIT];

/** Where the reason of an ERROR goes. */
export interface OdpKeyReport {
  error: string | undefined;
}
