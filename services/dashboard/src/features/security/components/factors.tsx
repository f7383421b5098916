import type { SecurityOverview } from "@codex/contracts";
import { Button, Code, Group, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { timeText } from "../../../shared/format.ts";
import { FieldForm, Section } from "../../../shared/section.tsx";
import { useAddPasskey, useBeginTotp, useConfirmTotp, useRemoveFactor, useRenewCodes } from "../api/security.ts";
import { CodeList } from "./code-list.tsx";
import { QrCode } from "./qr-code.tsx";

interface Props {
  readonly overview: SecurityOverview;
}

/** The authenticator app: a secret to scan or to type, then its first code. */
export function TotpSection({ overview }: Props): ReactNode {
  const { t } = useTranslation();
  const begin = useBeginTotp();
  const confirm = useConfirmTotp();
  const remove = useRemoveFactor();
  const error = begin.error ?? remove.error;
  return (
    <Section title={t("security.totp")}>
      <Text>{overview.totp ? t("security.totpOn") : t("security.totpOff")}</Text>
      {overview.totp ? (
        <Group>
          <Button variant="default" loading={remove.isPending} onClick={() => remove.mutate("totp")}>
            {t("security.totpRemove")}
          </Button>
        </Group>
      ) : (
        <Group>
          <Button loading={begin.isPending} onClick={() => begin.mutate(undefined)}>
            {t("security.totpBegin")}
          </Button>
        </Group>
      )}
      {!overview.totp && begin.data && (
        <Stack gap="sm">
          <Text>{t("security.totpSecret")}</Text>
          <QrCode text={begin.data.uri} label={t("security.totpQr")} />
          <Group gap="sm">
            <Code className="wrap" data-testid="totp-secret">
              {begin.data.secret}
            </Code>
            <Copy value={begin.data.secret} size="xs" />
          </Group>
          <FieldForm
            type="code"
            label={t("security.totpCode")}
            submit={t("security.totpConfirm")}
            pending={confirm.isPending}
            error={confirm.error}
            onSubmit={(code, taken) => confirm.mutate(code.replaceAll(/\s/g, ""), { onSettled: taken })}
          />
        </Stack>
      )}
      {confirm.data && confirm.data.length > 0 && overview.totp && <CodeList codes={confirm.data} />}
      {error && <ErrorBlock error={error} />}
    </Section>
  );
}

export function PasskeySection({ overview }: Props): ReactNode {
  const { t, i18n } = useTranslation();
  const add = useAddPasskey();
  const remove = useRemoveFactor();
  return (
    <Section title={t("security.passkeys")}>
      <Text>{t("security.passkeysText")}</Text>
      {overview.passkeys.map(({ passkeyId, name, createdAt }) => (
        <Group key={passkeyId} justify="space-between" data-testid="passkey">
          <Text className="wrap">
            {name}, {timeText(createdAt, i18n.language)}
          </Text>
          <Button
            size="xs"
            variant="default"
            aria-label={t("security.removeOf", { name })}
            onClick={() => remove.mutate(`passkeys/${passkeyId}`)}
          >
            {t("security.remove")}
          </Button>
        </Group>
      ))}
      <FieldForm
        label={t("security.passkeyName")}
        submit={t("security.passkeyAdd")}
        pending={add.isPending}
        error={add.error}
        onSubmit={(name, taken) => add.mutate(name.trim(), { onSuccess: taken })}
      />
      {add.data && add.data.length > 0 && <CodeList codes={add.data} />}
      {remove.error && <ErrorBlock error={remove.error} />}
    </Section>
  );
}

export function RecoverySection({ overview }: Props): ReactNode {
  const { t } = useTranslation();
  const renew = useRenewCodes();
  if (!overview.totp && overview.passkeys.length === 0) return null;
  return (
    <Section title={t("security.codes")}>
      <Text>{t("security.codesLeft", { left: overview.recoveryCodesLeft })}</Text>
      <Group>
        <Button variant="default" loading={renew.isPending} onClick={() => renew.mutate(undefined)}>
          {t("security.codesRenew")}
        </Button>
      </Group>
      {renew.data && <CodeList codes={renew.data} />}
      {renew.error && <ErrorBlock error={renew.error} />}
    </Section>
  );
}
