import { role as roleSchema, type OperatedAccount } from "@codex/contracts";
import { NativeSelect } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useOperatorAct, type OperatorAct } from "../api/operators.ts";
import { ReasonDialog } from "./reason-dialog.tsx";

export type Verb = OperatorAct["verb"];

interface Props {
  readonly account: OperatedAccount;
  readonly verb: Verb | undefined;
  readonly onClose: () => void;
}

/** What is done to the account as a whole. */
export function ActDialog({ account, verb, onClose }: Props): ReactNode {
  const { t } = useTranslation();
  const act = useOperatorAct();
  const [role, setRole] = useState<OperatedAccount["role"]>(account.role);
  const close = (): void => {
    act.reset();
    setRole(account.role);
    onClose();
  };
  const send = (reason: string): void => {
    if (verb === undefined) return;
    const ask = { accountId: account.accountId, verb, reason };
    act.mutate(verb === "role" ? { ...ask, role } : ask, { onSuccess: onClose });
  };
  const name = verb?.replace("-", "_") ?? "";
  return (
    <ReasonDialog
      opened={verb !== undefined}
      title={verb === undefined ? "" : t(`operatorAct.${name}`)}
      text={verb === undefined ? "" : t(`operatorActText.${name}`, { email: account.email })}
      pending={act.isPending}
      error={act.error}
      onClose={close}
      onAct={send}
    >
      {verb === "role" && (
        <NativeSelect
          label={t("operator.role")}
          value={role}
          data={roleSchema.options.map((value) => ({ value, label: t(`role.${value}`) }))}
          onChange={(event) => setRole(roleSchema.parse(event.currentTarget.value))}
        />
      )}
    </ReasonDialog>
  );
}
