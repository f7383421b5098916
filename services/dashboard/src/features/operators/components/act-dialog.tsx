import { role as roleSchema, type OperatedAccount } from "@codex/contracts";
import { Button, Group, Modal, NativeSelect, Stack, Text, Textarea } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useOperatorAct, type OperatorAct } from "../api/operators.ts";

export type Verb = OperatorAct["verb"];

interface Props {
  readonly account: OperatedAccount;
  readonly verb: Verb | undefined;
  readonly onClose: () => void;
}

/** No act without a reason: it goes into the audit log, and the account's owner reads it. */
export function ActDialog({ account, verb, onClose }: Props): ReactNode {
  const { t } = useTranslation();
  const act = useOperatorAct();
  const close = (): void => {
    act.reset();
    onClose();
  };
  return (
    <Modal
      opened={verb !== undefined}
      onClose={close}
      // While the act is under way the step-up may stand above this dialog.
      closeOnEscape={!act.isPending}
      closeOnClickOutside={!act.isPending}
      title={verb === undefined ? "" : t(`operatorAct.${verb.replace("-", "_")}`)}
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      {verb !== undefined && (
        <ActForm
          account={account}
          verb={verb}
          pending={act.isPending}
          error={act.error}
          onCancel={close}
          onAct={(ask) => act.mutate(ask, { onSuccess: close })}
        />
      )}
    </Modal>
  );
}

interface FormProps {
  readonly account: OperatedAccount;
  readonly verb: Verb;
  readonly pending: boolean;
  readonly error: Error | null;
  readonly onCancel: () => void;
  readonly onAct: (ask: OperatorAct) => void;
}

function ActForm({ account, verb, pending, error, onCancel, onAct }: FormProps): ReactNode {
  const { t } = useTranslation();
  const [reason, setReason] = useState("");
  const [role, setRole] = useState<OperatedAccount["role"]>(account.role);
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    const ask = { accountId: account.accountId, verb, reason: reason.trim() };
    onAct(verb === "role" ? { ...ask, role } : ask);
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text className="wrap">{t(`operatorActText.${verb.replace("-", "_")}`, { email: account.email })}</Text>
        {verb === "role" && (
          <NativeSelect
            label={t("operator.role")}
            value={role}
            data={roleSchema.options.map((value) => ({ value, label: t(`role.${value}`) }))}
            onChange={(event) => setRole(roleSchema.parse(event.currentTarget.value))}
          />
        )}
        <Textarea
          required
          data-autofocus
          label={t("operator.reason")}
          description={t("operator.reasonHint")}
          minLength={3}
          maxLength={500}
          autosize
          minRows={2}
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        {error && <ErrorBlock error={error} />}
        <Group justify="end">
          <Button variant="default" onClick={onCancel}>
            {t("keys.cancel")}
          </Button>
          <Button type="submit" color="red" loading={pending}>
            {t("operator.confirm")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
