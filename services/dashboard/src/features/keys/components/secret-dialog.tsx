import { Button, Code, Group, Modal, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";

interface Props {
  readonly secret: string | undefined;
  /** Something more to know about it. */
  readonly note?: string | undefined;
  readonly onClose: () => void;
  /** The dialog is gone, and the focus may move on. */
  readonly onClosed: () => void;
}

/** Shows a new key, once. It does not close by Escape or a click beside it: who closes it says that the key is saved. */
export function SecretDialog({ secret, note, onClose, onClosed }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={secret !== undefined}
      onClose={onClose}
      onExitTransitionEnd={onClosed}
      title={t("keys.secretTitle")}
      closeOnClickOutside={false}
      closeOnEscape={false}
      withCloseButton={false}
      returnFocus={false}
      size="lg"
    >
      <Text mb="sm">{t("keys.secretText")}</Text>
      {note !== undefined && <Text mb="sm">{note}</Text>}
      <SecretText secret={secret ?? ""} label={t("keys.secretTitle")} />
      <Text size="sm" mt="sm">
        {t("keys.baseUrl")}: <Code className="wrap">{`${window.location.origin}/v1`}</Code>
      </Text>
      <Group justify="end" mt="md">
        <Copy value={secret ?? ""} />
        <Button onClick={onClose}>{t("keys.saved")}</Button>
      </Group>
    </Modal>
  );
}

export function SecretText({ secret, label }: { readonly secret: string; readonly label: string }): ReactNode {
  return (
    <Code block className="secret" data-testid="secret" tabIndex={0} role="region" aria-label={label}>
      {secret}
    </Code>
  );
}
