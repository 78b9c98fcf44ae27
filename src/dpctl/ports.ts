/**
 * Commands about a datapath's ports: add-if, del-if, set-if.
 * Source: lib/dpctl.c (dpctl_add_if(), dpctl_del_if(), dpctl_set_if()).
 */
import type { Dpif } from '../dpif/dpif.ts';
import type { DpifPort } from '../dpif/dpif-types.ts';
import { ERRNO } from '../util/errno.ts';
import { atoi } from './atoi.ts';
import { attempt, type DpctlContext, printError } from './dpctl-context.ts';
import { openDpif, withDpif } from './dpctl-open.ts';
import { isVirtual, OpenNetdevs } from './open-netdevs.ts';

interface IfaceArg {
  /** Empty if there is none. */
  readonly name: string;
  readonly options: readonly (readonly [string, string])[];
}

/** "NAME,KEY=VALUE,..." taken apart; several commas count as one. */
function parseIface(text: string): IfaceArg {
  const [name = '', ...rest] = text.split(',').filter((s) => s !== '');
  const options = rest.map((option) => {
    const m = /^=*([^=]*)=?(.*)$/s.exec(option);
    return [m?.[1] ?? '', m?.[2] ?? ''] as const;
  });
  return { name, options };
}

const PORT_NONE = 0xffffffff;

/** Runs `each` on the interfaces after the datapath in `args`; the result is the last errno. */
async function forEachIface(
  ctx: DpctlContext,
  args: readonly string[],
  each: (dpif: Dpif, iface: string) => Promise<number>,
): Promise<number> {
  const [dp = '', ...ifaces] = args;
  const dpif = await openDpif(ctx, dp);
  if (!dpif.ok) {
    printError(ctx, dpif.errno, 'opening datapath');
    return dpif.errno;
  }
  return withDpif(dpif.value, async (d) => {
    let lastError = 0;
    for (const iface of ifaces) lastError = (await each(d, iface)) || lastError;
    return lastError;
  });
}

/** The devices of a datapath's ports are open. */
async function openPorts(ctx: DpctlContext, dpif: Dpif): Promise<OpenNetdevs> {
  const ports = await attempt(dpif.portDump());
  return new OpenNetdevs(ctx.netdevs, ports.ok ? ports.value : []);
}

/** As forEachIface, of interfaces with options.  One without a name counts as `errnoOfNoName`. */
function forEachConfig(
  ctx: DpctlContext,
  args: readonly string[],
  errnoOfNoName: number,
  each: (ctx: DpctlContext, dpif: Dpif, dpName: string, iface: IfaceArg, open: OpenNetdevs) => Promise<number>,
): Promise<number> {
  let open: OpenNetdevs | undefined;
  return forEachIface(ctx, args, async (dpif, text) => {
    open ??= await openPorts(ctx, dpif);
    const iface = parseIface(text);
    if (iface.name !== '') return each(ctx, dpif, args[0] ?? '', iface, open);
    printError(ctx, 0, `${text} is not a valid network device name`);
    return errnoOfNoName;
  });
}

/** add-if DP IFACE[,OPTION...]... */
export const addIf = (ctx: DpctlContext, args: readonly string[]): Promise<number> =>
  forEachConfig(ctx, args, ERRNO.EINVAL, addOne);

async function addOne(
  ctx: DpctlContext,
  dpif: Dpif,
  dpName: string,
  { name, options }: IfaceArg,
  open: OpenNetdevs,
): Promise<number> {
  let type = 'system';
  let portNo = PORT_NONE;
  const config = new Map<string, string>();
  for (const [key, value] of options) {
    if (key === 'type') type = value;
    else if (key === 'port_no') portNo = atoi(value) >>> 0;
    else if (config.has(key)) printError(ctx, 0, `duplicate "${key}" option`);
    else config.set(key, value);
  }

  const opened = await attempt(open.open(name, type));
  if (!opened.ok) {
    printError(ctx, opened.errno, `${name}: failed to open network device`);
    return opened.errno;
  }
  // A device that is open already keeps the type that it was opened with.
  const device = opened.value;
  const configured = open.configure(device, config);
  if (configured.errno !== 0) return configured.errno;
  const wanted = portNo === PORT_NONE ? undefined : portNo;
  const added = await attempt(dpif.portAdd(name, device.type, wanted, device.tunnel?.config));
  if (!added.ok) {
    printError(ctx, added.errno, `adding ${name} to ${dpName} failed`);
    return added.errno;
  }
  open.keep(device);
  if (isVirtual(device.type)) return 0;
  const up = await attempt(ctx.netdevs.turnUp(name));
  if (!up.ok) printError(ctx, up.errno, `${name}: failed bringing interface up`);
  return up.errno;
}

/** del-if DP IFACE|NUMBER... */
export function delIf(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  return forEachIface(ctx, args, async (dpif, which) => {
    const wanted = /^\d*$/.test(which) ? atoi(which) >>> 0 : undefined;
    const port = wanted === undefined ? (await queryPort(dpif, which)).port : await portOfNumber(dpif, wanted);
    const portNo = port?.portNo ?? wanted;
    if (portNo === undefined) {
      printError(ctx, 0, `no port named ${which}`);
      return ERRNO.ENOENT;
    }
    const { errno } = await attempt(dpif.portDel(portNo));
    if (errno !== 0) printError(ctx, errno, `deleting port ${which} from ${args[0]} failed`);
    // The datapath leaves a tunnel's device for a while to whoever made it.
    else if (port !== undefined && isVirtual(port.type)) await attempt(ctx.netdevs.remove(port.name));
    return errno;
  });
}

/** The port of a name; undefined, with an errno other than 0 if that is an error, if there is none. */
async function queryPort(dpif: Dpif, name: string): Promise<{ port: DpifPort | undefined; errno: number }> {
  const found = await attempt(dpif.portQuery(name));
  return { port: found.ok ? found.value : undefined, errno: found.errno };
}

/** Looked up in the list: a query for a number that no port has is logged as a failure. */
async function portOfNumber(dpif: Dpif, portNo: number): Promise<DpifPort | undefined> {
  const ports = await attempt(dpif.portDump());
  return ports.ok ? ports.value.find((p) => p.portNo === portNo) : undefined;
}

/** set-if DP IFACE[,OPTION...]... */
export const setIf = (ctx: DpctlContext, args: readonly string[]): Promise<number> =>
  forEachConfig(ctx, args, 0, setOne);

async function setOne(
  ctx: DpctlContext,
  dpif: Dpif,
  dpName: string,
  { name, options }: IfaceArg,
  open: OpenNetdevs,
): Promise<number> {
  const { port, errno: queryErrno } = await queryPort(dpif, name);
  if (port === undefined) {
    const errno = queryErrno || ERRNO.ENODEV;
    printError(ctx, errno, `${name}: failed to query port in ${dpName}`);
    return errno;
  }
  const opened = await attempt(open.open(name, port.type));
  if (!opened.ok) {
    printError(ctx, opened.errno, `${name}: failed to open network device`);
    return opened.errno;
  }
  const config = new Map(opened.value.tunnel?.options);
  for (const [key, value] of options) {
    if (key === 'type') {
      if (value === port.type) continue;
      printError(ctx, 0, `${name}: can't change type from ${port.type} to ${value}`);
      return ERRNO.EINVAL;
    }
    if (key === 'port_no') {
      if (atoi(value) >>> 0 === port.portNo) continue;
      printError(ctx, 0, `${name}: can't change port number from ${port.portNo} to ${atoi(value)}`);
      return ERRNO.EINVAL;
    }
    if (value === '') config.delete(key);
    else config.set(key, value);
  }
  const { errno, why } = open.configure(opened.value, config);
  if (why !== '') printError(ctx, errno, why);
  return errno;
}
