/** Without root's rights: in a user namespace of its own the datapath, dpctl and a ping between two TAP ports work. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ok, ROOT, requireNetns, run } from '../support/harness.ts';

/**
 * Two that have no rights over the network.  The user `nobody`, who is given a /dev/net/tun that anybody may open, as it is
 * on most machines; and, for checkouts that `nobody` cannot read, root with no capability but the one that mapping root
 * into a user namespace takes.
 */
const NOBODY = `
mount -t tmpfs tmpfs /mnt
mknod -m 666 /mnt/tun c 10 200
mount --bind /mnt/tun /dev/net/tun
umount -l /mnt
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs -- "$@"`;
const USERS = [
  ['nobody', ['unshare', '-m', 'bash', '-ec', NOBODY, 'nobody']],
  [
    'root without rights',
    ['setpriv', '--bounding-set=-all,+setfcap', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs', '--'],
  ],
] as const;

test.for(USERS)('datapath, dpctl and a ping between two TAP ports, as %s', async ([_name, become], context) => {
  const reason = requireNetns();
  if (reason !== undefined) context.skip(reason);
  const userns = await run([...become, 'unshare', '-rn', 'true']);
  if (userns.status !== 0) context.skip(`user namespaces cannot be made here: ${userns.stderr.trim()}`);
  const readable = await run([...become, 'test', '-r', join(ROOT, 'bin/tapswitch')]);
  if (readable.status !== 0) context.skip('the checkout is in a folder that only root may read');
  expect((await run([...become, 'ip', 'link', 'add', 'ts-x', 'type', 'bridge'])).stderr).toMatch(
    /Operation not permitted/,
  );

  const script = join(ROOT, 'test-netns/support/userns.sh');
  const stdout = await ok([...become, 'unshare', '-rn', '--kill-child', '--fork', 'bash', script, ROOT]);
  expect(stdout).toMatch(/port 1: tap1 \(internal\)/);
  expect(stdout).toMatch(/port 2: tap2 \(internal\)/);
  expect(stdout).toMatch(/5 packets transmitted, 5 received/);
  expect(stdout).toMatch(/lookups: hit:\d\d+ /);
});
