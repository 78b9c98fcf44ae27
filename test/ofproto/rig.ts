/**
 * A switch to test: bridge br0 with ports br0 (LOCAL, datapath port 1) and v1, v2, v3 (OpenFlow 1, 2, 3; datapath 2, 3, 4) on
 * a datapath in memory, with time that the test moves.
 */
import { afterEach, beforeEach } from 'vitest';
import { type DpifBacker, openBackerWith } from '../../src/ofproto/backer/backer.ts';
import type { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import type { BackerOptions, BundleConfig } from '../../src/ofproto/ofproto-provider.ts';
import { setClock } from '../../src/util/clock.ts';
import { FakeDpif, FakeProvider, FakeScheduler, missOf } from './fakes.ts';
import { actionsText } from './nests.ts';

const OPTIONS: BackerOptions = { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };

/** A trunk port of one interface, but for what `more` says. */
export const bundle = (name: string, more: Partial<BundleConfig> = {}): BundleConfig => ({
  name,
  members: [name],
  vlanMode: 'trunk',
  tag: undefined,
  trunks: [],
  isProtected: false,
  ...more,
});

export class Rig {
  readonly scheduler = new FakeScheduler();
  readonly dpif = new FakeDpif(this.scheduler.clock);
  backer!: DpifBacker;
  br!: OfprotoSwitch;

  /** Opens the datapath, as a vswitchd that starts does; `exists`: it was there before. */
  async open(exists: boolean): Promise<void> {
    this.backer = await openBackerWith(new FakeProvider(this.dpif, exists), 'ovs-system', OPTIONS, this.scheduler);
  }

  async addPort(name: string, more: Partial<BundleConfig> = {}): Promise<void> {
    const isLocal = name === 'br0';
    await this.br.portAdd({ name, type: isLocal ? 'internal' : 'system', ofport: undefined, isLocal });
    this.br.bundleSet(bundle(name, more));
  }

  /** Sends up one packet a key, one batch each; returns the actions of the flows that are installed for them. */
  async forward(...keys: Parameters<typeof missOf>[0][]): Promise<string[]> {
    this.dpif.operated.length = 0;
    for (const key of keys) await this.dpif.upcall(missOf(key));
    return this.dpif.operated.flat().flatMap((op) => (op.type === 'put' ? [actionsText(op.actions)] : []));
  }
  /** Executions since `forward` was called. */
  get nExecuted(): number {
    return this.dpif.operated.flat().filter((op) => op.type === 'execute').length;
  }
  /** Actions of all flows. */
  get flowActions(): string[] {
    return [...this.dpif.flows.values()].map((f) => actionsText(f.actions));
  }
}

/** Gives `use` a new rig before each test, and closes it after. */
export function withRig(use: (rig: Rig) => void): void {
  let rig: Rig;
  beforeEach(async () => {
    rig = new Rig();
    await rig.open(false);
    rig.br = rig.backer.createOfproto('br0');
    for (const name of ['br0', 'v1', 'v2', 'v3']) await rig.addPort(name);
    await rig.scheduler.advance(600);
    use(rig);
  });
  afterEach(async () => {
    const closing = rig.backer.close(false);
    await rig.scheduler.advance(1000);
    await closing;
    setClock(undefined);
  });
}
