import type { ApiKey } from "@codex/contracts";
import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useChangeKey } from "../api/keys.ts";
import { formOf, readChange, type KeyField } from "../key-form.ts";
import { wrongFields } from "../wrong-fields.ts";
import { KeyFields } from "./key-fields.tsx";

interface Props {
  readonly apiKey: ApiKey | undefined;
  readonly onClose: () => void;
  readonly onClosed: () => void;
}

/** What is set of a key; gateways hear of it at once. */
export function ChangeDialog({ apiKey, onClose, onClosed }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={apiKey !== undefined}
      onClose={onClose}
      onExitTransitionEnd={onClosed}
      returnFocus={false}
      title={t("keys.changeTitle")}
      closeButtonProps={{ "aria-label": t("app.close") }}
      size="xl"
    >
      {apiKey && <ChangeForm key={apiKey.keyId} apiKey={apiKey} onClose={onClose} />}
    </Modal>
  );
}

function ChangeForm({ apiKey, onClose }: { readonly apiKey: ApiKey; readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  const change = useChangeKey();
  // As it was when the dialog opened: only what the owner changed here is sent.
  const [before] = useState(() => formOf(apiKey));
  const [form, setForm] = useState(before);
  const [faults, setFaults] = useState<ReadonlySet<KeyField>>(new Set());
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    const asked = readChange(before, form, Date.now());
    setFaults(asked.ok ? new Set() : asked.faults);
    if (!asked.ok) return;
    if (Object.keys(asked.body).length === 0) {
      onClose();
      return;
    }
    const ask = { keyId: apiKey.keyId, change: asked.body };
    change.mutate(ask, { onSuccess: onClose, onError: (error) => setFaults(wrongFields(error)) });
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          required
          data-autofocus
          maxLength={100}
          label={t("keys.name")}
          autoComplete="off"
          value={form.name}
          onChange={(event) => setForm({ ...form, name: event.currentTarget.value })}
        />
        <KeyFields form={form} onChange={setForm} faults={faults} withEnvironment={false} />
        {change.error && <ErrorBlock error={change.error} />}
        <Group justify="end">
          <Button variant="default" onClick={onClose}>
            {t("keys.cancel")}
          </Button>
          <Button type="submit" loading={change.isPending}>
            {t("keys.save")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
