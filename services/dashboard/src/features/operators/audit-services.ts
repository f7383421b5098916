/** Services that keep an audit log. */
export const auditServices = ["auth", "keys", "billing", "gateway"] as const;
export type AuditService = (typeof auditServices)[number];
