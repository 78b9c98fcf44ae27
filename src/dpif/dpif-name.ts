/**
 * Names of datapaths, as people write them: "[TYPE@]NAME", and the datapaths that a set of providers has.
 * Used by dpctl and by vswitchd.  Source: lib/dpif.c (dp_parse_name(), dp_enumerate_names(), do_open()).
 */
import { ERRNO, errnoText } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import type { Dpif, DpifProvider } from './dpif.ts';
import { errnoOf } from './dpif-error.ts';

const log = vlog('dpif');

export const SYSTEM_TYPE = 'system';

export interface DpName {
  readonly type: string;
  readonly name: string;
}

/** Takes "[TYPE@]NAME" apart; without a type it is the system's. */
export function parseDpName(text: string): DpName {
  const at = text.indexOf('@');
  if (at < 0) return { type: SYSTEM_TYPE, name: text };
  return { type: text.slice(0, at) || SYSTEM_TYPE, name: text.slice(at + 1) || SYSTEM_TYPE };
}

/** "system@NAME". */
export const dpifFullName = (dpif: DpName): string => `${dpif.type}@${dpif.name}`;

/** The providers of a process, by type.  Methods throw Errors with an `errno`, after logging what went wrong as stock tools do. */
export class DpifProviders {
  private readonly byType: ReadonlyMap<string, DpifProvider>;

  constructor(providers: readonly DpifProvider[]) {
    this.byType = new Map(providers.map((p) => [p.type, p]));
  }

  /** Types, sorted. */
  get types(): string[] {
    return [...this.byType.keys()].sort();
  }

  /** Names of the datapaths of `type`, sorted. */
  async enumerate(type: string): Promise<string[]> {
    const provider = this.byType.get(type);
    if (provider === undefined) {
      log.warn(`could not enumerate unknown type: ${type}`);
      throw unknownType(type);
    }
    try {
      return await provider.enumerate();
    } catch (e) {
      log.warn(`failed to enumerate ${type} datapaths: ${errnoText(errnoOf(e))}`);
      throw e;
    }
  }

  /** Opens or creates the datapath; see DpifProvider.open. */
  open({ type, name }: DpName, create: boolean): Promise<Dpif> {
    const provider = this.byType.get(type);
    if (provider === undefined) {
      log.warn(`could not create datapath ${name} of unknown type ${type}`);
      return Promise.reject(unknownType(type));
    }
    return provider.open(name, create);
  }

  close(): void {
    for (const p of this.byType.values()) p.close();
  }
}

const unknownType = (type: string): Error =>
  Object.assign(new Error(`unknown datapath type "${type}"`), { errno: ERRNO.EAFNOSUPPORT, code: 'EAFNOSUPPORT' });
