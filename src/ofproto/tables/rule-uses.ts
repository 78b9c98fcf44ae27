/**
 * Which rules send to a group, or pass their packets through a meter: they go when that does.
 * Source: ofproto/ofproto.c (group_add_rule, meter_insert_rule).
 */
import type { Ofpact } from '../../openflow/ofpact.ts';
import { type Rule, someAction } from './rule.ts';

const NONE: ReadonlySet<Rule> = new Set();

export class RuleUses {
  private readonly groups = new Map<number, Set<Rule>>();
  private readonly meters = new Map<number, Set<Rule>>();

  add(rule: Rule): void {
    eachUse(rule, (isGroup, id) => {
      const byId = isGroup ? this.groups : this.meters;
      const rules = byId.get(id);
      if (rules === undefined) byId.set(id, new Set([rule]));
      else rules.add(rule);
    });
  }

  remove(rule: Rule): void {
    eachUse(rule, (isGroup, id) => {
      const byId = isGroup ? this.groups : this.meters;
      const rules = byId.get(id);
      rules?.delete(rule);
      if (rules?.size === 0) byId.delete(id);
    });
  }

  /** In the order in which they were added. */
  ofGroup(id: number): ReadonlySet<Rule> {
    return this.groups.get(id) ?? NONE;
  }
  ofMeter(id: number): ReadonlySet<Rule> {
    return this.meters.get(id) ?? NONE;
  }
}

/** Calls `use` for each action, nested ones too, that names a group or a meter. */
function eachUse(rule: Rule, use: (isGroup: boolean, id: number) => void): void {
  someAction(rule.actions, (a: Ofpact) => {
    if (a.kind === 'group') use(true, a.groupId);
    else if (a.kind === 'meter') use(false, a.meterId);
    return false;
  });
}
