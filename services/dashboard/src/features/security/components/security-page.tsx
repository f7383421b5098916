import { Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { Done, FieldForm, Section } from "../../../shared/section.tsx";
import { securityQuery, useChangePassword } from "../api/security.ts";
import { PasskeySection, RecoverySection, TotpSection } from "./factors.tsx";
import { SessionsSection } from "./sessions.tsx";

/** Password, factors and sessions. A change needs a proof of the last five minutes, for which the page asks by itself. */
export function SecurityPage(): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery(securityQuery);
  return (
    <Stack gap="lg">
      <PageTitle text={t("security.title")} />
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={400} />}
      {data && (
        <>
          <TotpSection overview={data} />
          <PasskeySection overview={data} />
          <RecoverySection overview={data} />
          <PasswordSection />
          <SessionsSection />
        </>
      )}
    </Stack>
  );
}

function PasswordSection(): ReactNode {
  const { t } = useTranslation();
  const password = useChangePassword();
  return (
    <Section title={t("signIn.password")}>
      <FieldForm
        type="new-password"
        label={t("signIn.newPassword")}
        submit={t("security.change")}
        pending={password.isPending}
        error={password.error}
        onSubmit={(value, taken) => password.mutate(value, { onSuccess: taken })}
      />
      {password.isSuccess && <Done text={t("security.passwordChanged")} />}
    </Section>
  );
}

interface DueProps {
  /** This session has shown a factor by now. */
  readonly enrolled: boolean;
  readonly onGoOn: () => void;
}

/** All that an operator without a second factor can reach (SEC-25). It stays until the recovery codes were seen. */
export function SecondFactorDuePage({ enrolled, onGoOn }: DueProps): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery(securityQuery);
  return (
    <Stack gap="lg">
      <PageTitle text={t("secondFactorDue.title")} />
      <Text>{enrolled ? t("secondFactorDue.done") : t("secondFactorDue.text")}</Text>
      {error && !data && <ErrorBlock error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Loading height={400} />}
      {data && (
        <>
          <TotpSection overview={data} />
          <PasskeySection overview={data} />
        </>
      )}
      {enrolled && (
        <Group>
          <Button onClick={onGoOn}>{t("secondFactorDue.goOn")}</Button>
        </Group>
      )}
    </Stack>
  );
}
