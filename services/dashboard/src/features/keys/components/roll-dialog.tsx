import type { ApiKey } from "@codex/contracts";
import { Button, Group, Modal, NativeSelect, Stack, Text } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { useRollKey } from "../api/keys.ts";
import { SecretDialog } from "./secret-dialog.tsx";

/** Seconds that the old key goes on; a day is the most that a service takes. */
const overlaps = [0, 900, 3_600, 21_600, 43_200, 86_400] as const;

interface Props {
  readonly apiKey: ApiKey | undefined;
  readonly onClose: () => void;
  readonly onClosed: () => void;
}

/** A new key in the place of an old one, which goes on for as long as the owner chooses. */
export function RollDialog({ apiKey, onClose, onClosed }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  const roll = useRollKey();
  const [overlap, setOverlap] = useState<number>(86_400);
  const rolled = roll.data;
  const close = (): void => {
    roll.reset();
    onClose();
  };
  const until = rolled?.previous.status === "active" ? rolled.previous.expiresAt : null;
  return (
    <>
      <Modal
        opened={apiKey !== undefined && !rolled}
        onClose={close}
        onExitTransitionEnd={() => {
          if (!rolled) onClosed();
        }}
        returnFocus={false}
        // While it is under way the step-up may stand above this dialog.
        closeOnEscape={!roll.isPending}
        closeOnClickOutside={!roll.isPending}
        title={t("keys.rollTitle")}
        closeButtonProps={{ "aria-label": t("app.close") }}
      >
        <Stack>
          <Text className="wrap">{t("keys.rollText", { name: apiKey?.name ?? "" })}</Text>
          <NativeSelect
            data-autofocus
            label={t("keys.overlap")}
            value={String(overlap)}
            data={overlaps.map((seconds) => ({ value: String(seconds), label: t(`overlap.${seconds}`) }))}
            onChange={(event) => setOverlap(Number(event.currentTarget.value))}
          />
          {roll.error && <ErrorBlock error={roll.error} />}
          <Group justify="end">
            <Button variant="default" onClick={close}>
              {t("keys.cancel")}
            </Button>
            <Button
              loading={roll.isPending}
              onClick={() => apiKey && roll.mutate({ keyId: apiKey.keyId, overlapSeconds: overlap })}
            >
              {t("keys.roll")}
            </Button>
          </Group>
        </Stack>
      </Modal>
      <SecretDialog
        secret={rolled?.secret}
        note={until === null ? t("keys.rolledAtOnce") : t("keys.rolledUntil", { time: timeText(until, i18n.language) })}
        onClose={close}
        onClosed={onClosed}
      />
    </>
  );
}
