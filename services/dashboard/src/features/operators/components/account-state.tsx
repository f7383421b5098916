import type { OperatedAccount } from "@codex/contracts";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Status } from "../../../shared/status.tsx";

/** May it sign in? */
export function AccountState({ account }: { readonly account: OperatedAccount }): ReactNode {
  const { t } = useTranslation();
  const blocked = account.blockedAt !== null;
  return <Status good={!blocked} text={blocked ? t("operator.blocked") : t("operator.active")} />;
}
