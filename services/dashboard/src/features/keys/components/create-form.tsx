import { Button, Collapse, Group, Paper, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useId, useRef, useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { useCreateKey } from "../api/keys.ts";
import { emptyForm, readDraft, type KeyField } from "../key-form.ts";
import { wrongFields } from "../wrong-fields.ts";
import { KeyFields } from "./key-fields.tsx";
import { SecretDialog } from "./secret-dialog.tsx";

/** A name is enough; everything else is behind a button. */
export function CreateForm(): ReactNode {
  const { t } = useTranslation();
  const create = useCreateKey();
  const [form, setForm] = useState(emptyForm);
  const [faults, setFaults] = useState<ReadonlySet<KeyField>>(new Set());
  const [opened, { toggle, open, close }] = useDisclosure(false);
  const nameField = useRef<HTMLInputElement>(null);
  const more = useId();
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    const draft = readDraft(form, Date.now());
    setFaults(draft.ok ? new Set() : draft.faults);
    if (!draft.ok) {
      open();
      return;
    }
    create.mutate(draft.body, {
      onSuccess: () => {
        setForm(emptyForm);
        close();
      },
      onError: (error) => setFaults(wrongFields(error)),
    });
  };
  return (
    <Paper withBorder p="lg">
      <form onSubmit={submit} noValidate={false}>
        <Group align="end" gap="sm">
          <TextInput
            required
            ref={nameField}
            maxLength={100}
            flex={{ base: 1, sm: "0 1 20rem" }}
            miw={200}
            label={t("keys.name")}
            placeholder={t("keys.namePlaceholder")}
            autoComplete="off"
            value={form.name}
            onChange={(event) => setForm({ ...form, name: event.currentTarget.value })}
          />
          <Button type="submit" loading={create.isPending}>
            {t("keys.create")}
          </Button>
          <Button variant="default" onClick={toggle} aria-expanded={opened} aria-controls={more}>
            {opened ? t("keys.less") : t("keys.more")}
          </Button>
        </Group>
        <div id={more}>
          <Collapse expanded={opened}>
            <Stack pt="md">
              <KeyFields form={form} onChange={setForm} faults={faults} withEnvironment />
            </Stack>
          </Collapse>
        </div>
        {create.error && <ErrorBlock error={create.error} />}
      </form>
      {/* The secret is in the answer only: closing forgets the answer. */}
      <SecretDialog
        secret={create.data?.secret}
        onClose={() => create.reset()}
        onClosed={() => nameField.current?.focus()}
      />
    </Paper>
  );
}
