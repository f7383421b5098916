import type { ApiKey } from "@codex/contracts";
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useRevokeKey } from "../api/keys.ts";

interface Props {
  readonly revoking: ApiKey | undefined;
  readonly onClose: () => void;
  /** The dialog is gone; the button that opened it may be gone too. */
  readonly onClosed: () => void;
}

export function RevokeDialog({ revoking, onClose, onClosed }: Props): ReactNode {
  const { t } = useTranslation();
  const revoke = useRevokeKey();
  const close = (): void => {
    revoke.reset();
    onClose();
  };
  return (
    <Modal
      opened={revoking !== undefined}
      onClose={close}
      onExitTransitionEnd={onClosed}
      returnFocus={false}
      title={t("keys.revokeTitle")}
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      <Stack>
        <Text className="wrap">{t("keys.revokeText", { name: revoking?.name ?? "" })}</Text>
        {revoke.error && <ErrorBlock error={revoke.error} />}
        <Group justify="end">
          <Button variant="default" onClick={close}>
            {t("keys.cancel")}
          </Button>
          <Button
            color="red"
            loading={revoke.isPending}
            onClick={() => revoking && revoke.mutate(revoking.keyId, { onSuccess: close })}
          >
            {t("keys.revoke")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
