/** A real ovsdb-server, stock ovs-vsctl, and vswitchds on fakes: what the tests of vswitchd and its database have in common.  Neighbour: fakes.ts. */
import { execFile } from 'node:child_process';
import { setConsole } from '../../src/util/vlog.ts';
import { Vswitchd, type VswitchdOptions } from '../../src/vswitchd/vswitchd.ts';
import { type OvsdbServer, startOvsdbServer } from '../ovsdb/ovsdb-server.ts';
import { FakeWorld } from './fakes.ts';

export class SwitchLab {
  readonly server: OvsdbServer;
  /** It has the devices eth0, eth1 and eth2. */
  readonly world = new FakeWorld();
  /** What was logged. */
  readonly lines: string[] = [];
  readonly running: Vswitchd[] = [];

  private constructor(server: OvsdbServer) {
    this.server = server;
    setConsole((line) => this.lines.push(line));
    for (const name of ['eth0', 'eth1', 'eth2']) this.world.netdevs.put(name);
  }

  static async open(): Promise<SwitchLab> {
    return new SwitchLab(await startOvsdbServer());
  }

  /** One more vswitchd, whose periods are short, unless `overrides` has others. */
  async start(overrides: Partial<VswitchdOptions> = {}): Promise<Vswitchd> {
    const { openProvider, openBacker, openNetdevs } = this.world;
    const v = await Vswitchd.start({
      ...{ database: this.server.remote, openProvider, openBacker, openNetdevs },
      ...{ session: { minBackoffMs: 20 }, datapathCheckMs: 20, statsMs: 30 },
      ...overrides,
    });
    this.running.push(v);
    return v;
  }

  /** Runs ovs-vsctl, which waits until vswitchd has done it, and must succeed. */
  vsctl(...args: string[]): Promise<{ out: string; err: string }> {
    return new Promise((resolve, reject) => {
      execFile('ovs-vsctl', [`--db=${this.server.remote}`, '--timeout=60', ...args], (error, out, err) => {
        if (error === null) resolve({ out, err });
        else reject(new Error(`ovs-vsctl ${args.join(' ')}: ${error.message}`));
      });
    });
  }

  async close(): Promise<void> {
    for (const v of this.running.splice(0)) await v.stop(false);
    await this.server.stop();
    setConsole(undefined);
  }
}
