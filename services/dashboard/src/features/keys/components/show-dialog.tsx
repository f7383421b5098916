import type { ApiKey } from "@codex/contracts";
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { useShowKey } from "../api/keys.ts";
import { SecretText } from "./secret-dialog.tsx";

/** How long a key that is shown again stays on the screen (SEC-42): enough to copy it, too short to be forgotten there. */
const shownSeconds = 60;

interface Props {
  readonly apiKey: ApiKey | undefined;
  readonly onClose: () => void;
  readonly onClosed: () => void;
}

/** A key once more, for its owner, where the operator has switched that on. */
export function ShowDialog({ apiKey, onClose, onClosed }: Props): ReactNode {
  const { t } = useTranslation();
  const show = useShowKey();
  const close = (): void => {
    show.reset();
    onClose();
  };
  return (
    <Modal
      opened={apiKey !== undefined}
      onClose={close}
      onExitTransitionEnd={onClosed}
      returnFocus={false}
      // While it is asked for the step-up may stand above this dialog.
      closeOnEscape={!show.isPending}
      closeOnClickOutside={!show.isPending}
      title={t("keys.showTitle")}
      closeButtonProps={{ "aria-label": t("app.close") }}
      size="lg"
    >
      <Stack>
        <Text className="wrap">{t("keys.showText", { name: apiKey?.name ?? "" })}</Text>
        {show.error && <ErrorBlock error={show.error} />}
        {show.isPending && <Loading height={60} />}
        {show.data === undefined ? (
          <Group justify="end">
            <Button variant="default" onClick={close}>
              {t("keys.cancel")}
            </Button>
            <Button data-autofocus loading={show.isPending} onClick={() => apiKey && show.mutate(apiKey.keyId)}>
              {t("keys.showNow")}
            </Button>
          </Group>
        ) : (
          <Shown secret={show.data} onHide={show.reset} />
        )}
      </Stack>
    </Modal>
  );
}

/** Hides itself after a time, and at once when the reader turns to another tab, window or page. */
function Shown({ secret, onHide }: { readonly secret: string; readonly onHide: () => void }): ReactNode {
  const { t } = useTranslation();
  const [until] = useState(() => Date.now() + shownSeconds * 1_000);
  const [left, setLeft] = useState(shownSeconds);
  useEffect(() => {
    const tick = (): void => {
      const seconds = Math.ceil((until - Date.now()) / 1_000);
      if (seconds <= 0) onHide();
      else setLeft(seconds);
    };
    const turn = (): void => {
      if (document.visibilityState === "hidden") onHide();
    };
    const timer = setInterval(tick, 1_000);
    document.addEventListener("visibilitychange", turn);
    // A page that is kept for going back must not hold it either.
    window.addEventListener("pagehide", onHide);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", turn);
      window.removeEventListener("pagehide", onHide);
    };
  }, [until, onHide]);
  return (
    <>
      <SecretText secret={secret} label={t("keys.showTitle")} />
      <Text size="sm" role="timer">
        {t("keys.hidesIn", { seconds: left })}
      </Text>
      <Group justify="end">
        <Copy value={secret} />
        <Button onClick={onHide}>{t("keys.hide")}</Button>
      </Group>
    </>
  );
}
