/**
 * The datapath under all bridges: opened when a bridge wants it, closed when none does, lost and found again.
 *
 * A datapath that cannot be opened is no failure of the process: `error` says why, for the rows of the interfaces, and
 * vswitchd.ts tries again every second.  Source: vswitchd/bridge.c, ofproto/ofproto-dpif.c (open_dpif_backer).
 */
import type { DpifProvider } from '../dpif/dpif.ts';
import { NetlinkError } from '../netlink/errors.ts';
import type { BackerOptions, OfprotoBacker, OpenBacker } from '../ofproto/ofproto-provider.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('bridge');

export interface DatapathKind {
  readonly name: string;
  /** Values of Bridge.datapath_type that mean it. */
  readonly types: readonly string[];
}

export interface SwitchDatapathOptions {
  openProvider(): Promise<DpifProvider>;
  readonly openBacker: OpenBacker;
  /** Called when the device of a port is gone from the datapath. */
  portVanished(): void;
  /** Called when a bridge has lost a port, for whatever reason. */
  portGone?(name: string): void;
}

/** Why the datapath cannot be opened, in words for the person who reads the "error" column. */
function unavailable(error: unknown): string {
  if (!(error instanceof NetlinkError)) return (error as Error).message;
  const isMissing = error.errno === ERRNO.ENOENT || error.errno === ERRNO.ECONNREFUSED;
  return isMissing
    ? `${error.text}: no openvswitch module and no tapswitch datapath in this network namespace`
    : error.text;
}

export class SwitchDatapath {
  readonly kind: DatapathKind;
  private readonly options: SwitchDatapathOptions;
  private provider: DpifProvider | undefined;
  private current: OfprotoBacker | undefined;
  private why: string | undefined;
  /** Whether ports in the datapath that are no bridge's have been looked for. */
  private isSwept = false;

  constructor(kind: DatapathKind, options: SwitchDatapathOptions) {
    this.kind = kind;
    this.options = options;
  }

  /** Undefined while it is closed, or cannot be opened. */
  get backer(): OfprotoBacker | undefined {
    return this.current;
  }
  /** Why there is no backer, if one is wanted. */
  get error(): string | undefined {
    return this.why;
  }
  /** Whether Bridge.datapath_type `type` means this datapath. */
  supports(type: string): boolean {
    return this.kind.types.includes(type);
  }

  /** Opens it if it is closed; undefined, with `error` set, if that cannot be done. */
  async open(options: BackerOptions): Promise<OfprotoBacker | undefined> {
    if (this.current !== undefined) return this.current;
    const { name } = this.kind;
    try {
      this.provider ??= await this.options.openProvider();
      this.current = await this.options.openBacker(this.provider, name, options);
      this.current.onPortVanished(() => this.options.portVanished());
      this.current.onPortGone = (port) => this.options.portGone?.(port);
      this.current.onStrayPorts = () => {
        this.isSwept = false;
        this.options.portVanished();
      };
      if (this.why !== undefined) log.info(`datapath ${name} is available again`);
      this.why = undefined;
      this.isSwept = false;
    } catch (error) {
      const why = unavailable(error);
      if (this.why !== why) log.err(`datapath ${name} is not available (${why}); trying again`);
      this.why = why;
      this.provider?.close();
      this.provider = undefined;
    }
    return this.current;
  }

  /** Deletes ports that an earlier run left in the datapath, or somebody else put there since, and that are not `wanted`. */
  async sweep(wanted: ReadonlySet<string>): Promise<void> {
    const { current } = this;
    if (this.isSwept || current === undefined) return;
    for (const { name, portNo } of await current.strayPorts()) {
      if (wanted.has(name)) continue;
      log.info(`${this.kind.name}: deleting port ${name}, which no bridge wants`);
      await current.dpif.portDel(portNo).catch((error: Error) => log.warn(`${name}: ${error.message}`));
    }
    this.isSwept = true;
    current.configured();
  }

  /** Closes what no longer answers, and says so. */
  async lose(error: NetlinkError): Promise<void> {
    if (this.current === undefined) return;
    log.err(`datapath ${this.kind.name} is gone (${error.text}); its bridges will be set up again when it is back`);
    await this.close(false);
    this.why = unavailable(error);
  }

  /** With `deleteIt` the datapath itself goes, too; else it stays as it is, and forwards. */
  async close(deleteIt: boolean): Promise<void> {
    const { current, provider } = this;
    this.current = undefined;
    this.provider = undefined;
    this.why = undefined;
    await current?.close(deleteIt).catch((e: Error) => log.warn(`closing ${this.kind.name}: ${e.message}`));
    provider?.close();
  }
}
