import { afterEach, expect, test } from 'vitest';
import type { Dpif } from '../../src/dpif/dpif.ts';
import { LoggedDpif } from '../../src/dpif/logged-dpif.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';

afterEach(() => setConsole(undefined));

test.each([
  ['a port that may be gone', true, ERRNO.ENODEV, ''],
  ['one that should be there', false, ERRNO.ENODEV, 'system@dp0: port_del failed (No such device)'],
  ['a refusal', true, ERRNO.EPERM, 'system@dp0: port_del failed (Operation not permitted)'],
])('deletion: %s', async (_name, mayBeGone, errno, said) => {
  let text = '';
  setConsole((line) => {
    text += line;
  });
  const portDel = () => Promise.reject(new NetlinkError(errno, 'port 1'));
  const dpif = new LoggedDpif({ type: 'system', name: 'dp0', portDel } as unknown as Dpif);
  await expect(dpif.portDel(1, mayBeGone)).rejects.toMatchObject({ errno });
  if (said === '') expect(text).toBe('');
  else expect(text).toContain(said);
});
