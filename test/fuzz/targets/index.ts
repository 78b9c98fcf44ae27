/** All inputs that are fuzzed. */
import type { FuzzTarget } from '../case.ts';
import { actionsTarget } from './actions.ts';
import { conntrackTarget } from './conntrack.ts';
import { extractTarget } from './extract.ts';
import { netlinkTarget } from './netlink.ts';
import { ofpConnectionTarget } from './ofp-connection.ts';
import { ofpMessageTarget } from './ofp-message.ts';
import { ofpTextTarget } from './ofp-text.ts';
import { tablesTarget } from './tables.ts';
import { tunnelTarget } from './tunnel.ts';

export const TARGETS: readonly FuzzTarget[] = [
  extractTarget,
  tunnelTarget,
  conntrackTarget,
  actionsTarget,
  netlinkTarget,
  ofpMessageTarget,
  ofpTextTarget,
  ofpConnectionTarget,
  tablesTarget,
];
