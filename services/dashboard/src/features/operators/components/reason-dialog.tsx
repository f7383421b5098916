import { Button, Group, Modal, Stack, Text, Textarea } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";

interface Props {
  readonly opened: boolean;
  readonly title: string;
  /** What it will do, to whom. */
  readonly text: string;
  /** A field more, above the reason. */
  readonly children?: ReactNode;
  readonly pending: boolean;
  readonly error: Error | null;
  readonly onClose: () => void;
  readonly onAct: (reason: string) => void;
}

/** No act without a reason: it goes into the audit log, and the account's owner reads it. */
export function ReasonDialog({ opened, title, onClose, ...form }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      // While the act is under way the step-up may stand above this dialog.
      closeOnEscape={!form.pending}
      closeOnClickOutside={!form.pending}
      title={title}
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      {opened && <ReasonForm {...form} onCancel={onClose} />}
    </Modal>
  );
}

interface FormProps extends Pick<Props, "text" | "children" | "pending" | "error" | "onAct"> {
  readonly onCancel: () => void;
}

function ReasonForm({ text, children, pending, error, onCancel, onAct }: FormProps): ReactNode {
  const { t } = useTranslation();
  const [reason, setReason] = useState("");
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    onAct(reason.trim());
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text className="wrap">{text}</Text>
        {children}
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
