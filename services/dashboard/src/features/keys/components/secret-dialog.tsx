import { Button, Code, CopyButton, Group, Modal, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** Shows a new key, once. It does not close by a click beside it: who closes it says that the key is saved. */
export function SecretDialog({ secret, onClose }: { readonly secret: string | undefined; readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={secret !== undefined}
      onClose={onClose}
      title={t("keys.secretTitle")}
      closeOnClickOutside={false}
      closeOnEscape={false}
      withCloseButton={false}
      size="lg"
    >
      <Text mb="sm">{t("keys.secretText")}</Text>
      <Code block data-testid="secret" tabIndex={0} role="region" aria-label={t("keys.secretTitle")}>
        {secret ?? ""}
      </Code>
      <Group justify="end" mt="md">
        <CopyButton value={secret ?? ""}>
          {({ copied, copy }) => (
            <Button variant="default" onClick={copy}>
              {t(copied ? "keys.copied" : "keys.copy")}
            </Button>
          )}
        </CopyButton>
        <Button onClick={onClose}>{t("keys.saved")}</Button>
      </Group>
    </Modal>
  );
}
