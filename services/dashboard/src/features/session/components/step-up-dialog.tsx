import type { SecurityOverview } from "@codex/contracts";
import { Button, Group, Modal, PasswordInput, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { answerStepUps } from "../../../shared/step-up.ts";
import { factorsQuery, useProve, type Proof } from "../api/step-up.ts";

/**
 * Is it still the same person? Opens by itself when a service asks (SEC-24), above whatever dialog is open, and what was asked
 * goes on after it; closed without a proof, the refusal is shown where it was asked.
 */
export function StepUpDialog(): ReactNode {
  const { t } = useTranslation();
  const [opened, setOpened] = useState(false);
  const answer = useRef<(proved: boolean) => void>(undefined);
  const settle = (proved: boolean): void => {
    answer.current?.(proved);
    answer.current = undefined;
    setOpened(false);
  };
  useEffect(() => {
    const silence = answerStepUps(() => {
      setOpened(true);
      return new Promise((resolve) => {
        answer.current = resolve;
      });
    });
    return () => {
      silence();
      answer.current?.(false);
    };
  }, []);
  return (
    <Modal
      opened={opened}
      onClose={() => settle(false)}
      title={t("stepUp.title")}
      zIndex={300}
      closeButtonProps={{ "aria-label": t("app.close") }}
    >
      {opened && <ProofForm onProved={() => settle(true)} />}
    </Modal>
  );
}

function ProofForm({ onProved }: { readonly onProved: () => void }): ReactNode {
  const { data, error, refetch } = useQuery(factorsQuery);
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={160} />;
  return <ProofFields factors={data} onProved={onProved} />;
}

type Method = "password" | "code";

interface FieldsProps {
  readonly factors: SecurityOverview;
  readonly onProved: () => void;
}

function ProofFields({ factors, onProved }: FieldsProps): ReactNode {
  const { t } = useTranslation();
  const prove = useProve();
  const [method, setMethod] = useState<Method>("password");
  const [value, setValue] = useState("");
  const give = (proof: Proof): void => prove.mutate(proof, { onSuccess: onProved });
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    if (method === "password") give({ password: value });
    else
      give(
        /^\d{6}$/.test(value.replaceAll(/\s/g, "")) ? { totp: value.replaceAll(/\s/g, "") } : { recoveryCode: value },
      );
  };
  const field = {
    required: true,
    value,
    autoFocus: true,
    onChange: (event: { currentTarget: { value: string } }) => setValue(event.currentTarget.value),
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text>{t("stepUp.text")}</Text>
        {factors.totp && (
          <SegmentedControl
            aria-label={t("stepUp.method")}
            value={method}
            data={[
              { value: "password", label: t("signIn.password") },
              { value: "code", label: t("secondFactor.code") },
            ]}
            onChange={(chosen) => {
              setMethod(chosen === "code" ? "code" : "password");
              setValue("");
            }}
          />
        )}
        {method === "password" ? (
          <PasswordInput
            {...field}
            label={t("signIn.password")}
            autoComplete="current-password"
            visibilityToggleButtonProps={{ "aria-label": t("signIn.showPassword") }}
          />
        ) : (
          <TextInput
            {...field}
            label={t("secondFactor.code")}
            description={t("secondFactor.hint")}
            autoComplete="one-time-code"
            maxLength={40}
          />
        )}
        {prove.error && <ErrorBlock error={prove.error} />}
        <Group justify="end">
          {factors.passkeys.length > 0 && (
            <Button variant="default" onClick={() => give("passkey")}>
              {t("stepUp.passkey")}
            </Button>
          )}
          <Button type="submit" loading={prove.isPending}>
            {t("stepUp.submit")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
