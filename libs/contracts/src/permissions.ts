import type { Role } from "./auth.ts";

/**
 * What each role of an operator may do, in this one place (SEC-01). A route names its permission and gets its roles from
 * here; nothing else decides by role. `user` is in no row: a customer is never an operator.
 *
 *   support   looks at accounts, answers disputes, ends sessions and blocks
 *   finance   moves money: adjustments, refunds, prices, vouchers
 *   admin     everything, and alone: roles, invitations, channels
 */
export const permissions = {
  "accounts.read": ["support", "finance", "admin"],
  "accounts.end-sessions": ["support", "admin"],
  "accounts.block": ["support", "admin"],
  "accounts.set-role": ["admin"],
  "accounts.invite": ["admin"],
  "acts.read": ["admin"],
  "channels.manage": ["admin"],
  "money.move": ["finance", "admin"],
  "prices.read": ["support", "finance", "admin"],
  "prices.write": ["finance", "admin"],
  "disputes.handle": ["support", "finance", "admin"],
  "disputes.resolve": ["finance", "admin"],
  "vouchers.manage": ["finance", "admin"],
} as const satisfies Readonly<Record<string, readonly Exclude<Role, "user">[]>>;

export type Permission = keyof typeof permissions;

/** The roles that have the permission, for `roles` of an operator route. */
export function rolesWith(permission: Permission): readonly Exclude<Role, "user">[] {
  return permissions[permission];
}

export function isPermitted(role: Role, permission: Permission): boolean {
  const roles: readonly Role[] = permissions[permission];
  return roles.includes(role);
}
