/** What goes to a controller has the DSCP of its settings. */
import { createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { ControllerSettings, OpenflowSettings } from '../../../src/ofproto/connmgr/openflow-settings.ts';
import { Service, type ServiceOwner } from '../../../src/ofproto/connmgr/service/service.ts';

let server: Server | undefined;
let service: Service | undefined;
afterEach(() => {
  service?.close();
  server?.close();
});

const settings = (target: string, dscp?: number): ControllerSettings => ({
  target,
  kind: 'primary',
  maxBackoffSec: 8,
  probeIntervalSec: 5,
  enableAsync: true,
  rateLimit: 0,
  burstLimit: 0,
  maxQueue: 100,
  ...(dscp !== undefined && { dscp }),
});

test.each([
  [10, 10],
  [undefined, 48],
])('settings say %s: %i', async (said, want) => {
  const marks: [number, number][] = [];
  const owner = { sw: { name: 'br0' }, conns: new Set(), changed: () => {} } as unknown as ServiceOwner;
  const listening = createServer((socket) => socket.on('error', () => {}));
  server = listening;
  await new Promise<void>((done) => listening.listen(0, '127.0.0.1', done));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const connected = new Promise((done) => listening.once('connection', done));
  const marked = new Promise<void>((done) => {
    const setDscp = (fd: number, dscp: number): void => {
      marks.push([fd, dscp]);
      done();
    };
    const base = { versions: 2, tls: undefined, runDir: '/', setDscp } as unknown as OpenflowSettings;
    service = new Service(settings(`tcp:127.0.0.1:${address.port}`, said), base, owner);
  });
  await Promise.all([connected, marked]);
  expect(marks.map(([, dscp]) => dscp)).toEqual([want]);
  expect(marks[0]?.[0]).toBeGreaterThan(2);
});
