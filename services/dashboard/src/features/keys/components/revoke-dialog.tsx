import type { ApiKey } from "@codex/contracts";
import { Button, Checkbox, Group, List, Modal, NativeSelect, Stack, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useRevokeKeys } from "../api/keys.ts";
import { tagsOf } from "../key-state.ts";

interface Props {
  readonly revoking: ApiKey | undefined;
  readonly onClose: () => void;
  /** The dialog is gone; the button that opened it may be gone too. */
  readonly onClosed: () => void;
}

export function RevokeDialog({ revoking, onClose, onClosed }: Props): ReactNode {
  const { t } = useTranslation();
  const revoke = useRevokeKeys();
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
            onClick={() => revoking && revoke.mutate([revoking.keyId], { onSuccess: close })}
          >
            {t("keys.revoke")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

interface ManyProps {
  readonly opened: boolean;
  /** Those that can be revoked. */
  readonly keys: readonly ApiKey[];
  readonly onClose: () => void;
  readonly onClosed: () => void;
}

/** Names that are listed before the rest is a number. */
const namesMax = 10;

/** All keys, or those with a tag. Which they are is listed, and the button works once the reader has said so. */
export function RevokeManyDialog({ opened, keys, onClose, onClosed }: ManyProps): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      onExitTransitionEnd={onClosed}
      returnFocus={false}
      title={t("keys.revokeManyTitle")}
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      {opened && <RevokeManyForm keys={keys} onClose={onClose} />}
    </Modal>
  );
}

function RevokeManyForm({ keys, onClose }: Pick<ManyProps, "keys" | "onClose">): ReactNode {
  const { t } = useTranslation();
  const revoke = useRevokeKeys();
  const [tag, setTag] = useState("");
  const [sure, setSure] = useState(false);
  const chosen = tag === "" ? keys : keys.filter(({ tags }) => tags.includes(tag));
  const choose = (value: string): void => {
    setTag(value);
    setSure(false);
  };
  return (
    <Stack>
      <NativeSelect
        data-autofocus
        label={t("keys.which")}
        value={tag}
        data={[
          { value: "", label: t("keys.allKeys") },
          ...tagsOf(keys).map((value) => ({ value, label: t("keys.withTag", { tag: value }) })),
        ]}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      <Text>{t("keys.revokeManyText", { total: chosen.length })}</Text>
      <List size="sm" data-testid="to-be-revoked">
        {chosen.slice(0, namesMax).map(({ keyId, name, prefix }) => (
          <List.Item key={keyId} className="wrap">
            {name} ({prefix}…)
          </List.Item>
        ))}
      </List>
      {chosen.length > namesMax && <Text size="sm">{t("keys.andMore", { rest: chosen.length - namesMax })}</Text>}
      <Checkbox
        label={t("keys.revokeSure")}
        checked={sure}
        onChange={(event) => setSure(event.currentTarget.checked)}
      />
      {revoke.error && <ErrorBlock error={revoke.error} />}
      <Group justify="end">
        <Button variant="default" onClick={onClose}>
          {t("keys.cancel")}
        </Button>
        <Button
          color="red"
          disabled={!sure || chosen.length === 0}
          loading={revoke.isPending}
          onClick={() =>
            revoke.mutate(
              chosen.map(({ keyId }) => keyId),
              { onSuccess: onClose },
            )
          }
        >
          {t("keys.revokeMany", { total: chosen.length })}
        </Button>
      </Group>
    </Stack>
  );
}
