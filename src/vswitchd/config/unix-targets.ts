/**
 * Which Unix sockets the database may name for OpenFlow.  Whoever may write to the database, over a network perhaps, must not thereby
 * have this process connect to, or replace, any socket of the machine: only those of its own rundir.
 * Source: vswitchd/bridge.c (bridge_configure_remotes), lib/daemon.c (daemon_should_self_confine).
 */
import { RateLimit, vlog } from '../../util/vlog.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

let isConfined = true;

/** --no-self-confinement lifts the restriction. */
export function setSelfConfinement(isOn: boolean): void {
  isConfined = isOn;
}

/** Several slashes are one. */
const squeeze = (path: string): string => path.replace(/\/+/g, '/');

/** Whether controller `target` may be used by `bridge`; if not, the log says why. */
export function isTargetPermitted(target: string, bridge: string, runDir: string): boolean {
  if (!isConfined) return true;
  const mgmt = `"unix:${runDir}/${bridge}.mgmt" (which is always available without special configuration).`;
  if (target.startsWith('unix:')) {
    const allowed = `unix:${runDir}/`;
    if (!target.includes('/') || squeeze(target).startsWith(squeeze(allowed))) return true;
    const why = 'due to possibility for remote exploit.  Instead, specify socket in permitted directory';
    log.err(
      `bridge ${bridge}: Not connecting to socket controller "${target}" ${why} "${allowed}" or connect to ${mgmt}`,
      limit,
    );
    return false;
  }
  if (target.startsWith('punix:')) {
    const allowed = `punix:${runDir}/${bridge}.`;
    const [given, prefix] = [squeeze(target), squeeze(allowed)];
    if (given.startsWith(prefix) && !given.slice(prefix.length).includes('/')) return true;
    const why = 'due to possibility of overwriting local files. Instead, specify path in permitted format';
    log.err(
      `bridge ${bridge}: Not adding Unix domain socket controller "${target}" ${why} "${allowed}*" or connect to ${mgmt}`,
      limit,
    );
    return false;
  }
  return true;
}
