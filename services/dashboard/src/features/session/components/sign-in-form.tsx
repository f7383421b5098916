import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import {
  browserSupportsWebAuthn,
  browserSupportsWebAuthnAutofill,
  WebAuthnAbortService,
} from "@simplewebauthn/browser";
import { useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { usePasskeySignIn, useSecondFactor, useSignIn, type SignedIn } from "../api/session.ts";
import { EmailField, FormPaper, NarrowPage, PasswordField } from "./form-frame.tsx";

interface Props {
  readonly onDone: () => void;
  /** The ways to other pages. */
  readonly children: ReactNode;
}

/** E-mail and password, or a passkey that the browser offers; then the second factor where there is one. */
export function SignInForm({ onDone, children }: Props): ReactNode {
  const { t } = useTranslation();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useSignIn();
  const passkey = usePasskeySignIn();
  const done = (answer: SignedIn): void => {
    if ("account" in answer) onDone();
  };
  useOfferedPasskey(onDone);
  if (signIn.data && "secondFactor" in signIn.data) {
    return <SecondFactorForm {...signIn.data.secondFactor} onDone={onDone} onRestart={() => signIn.reset()} />;
  }
  return (
    <NarrowPage title={t("signIn.title")}>
      <FormPaper
        submit={t("signIn.submit")}
        pending={signIn.isPending}
        error={signIn.error}
        onSubmit={() => signIn.mutate({ email, password }, { onSuccess: done })}
      >
        <EmailField passkeys value={email} onChange={setEmail} />
        <PasswordField value={password} onChange={setPassword} />
      </FormPaper>
      {browserSupportsWebAuthn() && (
        <Button
          variant="default"
          loading={passkey.isPending}
          onClick={() => passkey.mutate({ autofill: false }, { onSuccess: done })}
        >
          {t("signIn.passkey")}
        </Button>
      )}
      {passkey.error && <ErrorBlock error={passkey.error} />}
      {children}
    </NarrowPage>
  );
}

/** Where the browser can, it offers passkeys in the field of the address; nothing is shown when none is chosen. */
function useOfferedPasskey(onDone: () => void): void {
  const offered = usePasskeySignIn();
  const { mutate } = offered;
  useEffect(() => {
    let isGone = false;
    void browserSupportsWebAuthnAutofill().then((can) => {
      if (!can || isGone) return;
      mutate(
        { autofill: true },
        {
          onSuccess: (answer) => {
            if ("account" in answer) onDone();
          },
        },
      );
    });
    return () => {
      isGone = true;
      WebAuthnAbortService.cancelCeremony();
    };
    // Once for a page that is opened: `onDone` is made anew with each drawing.
  }, [mutate]);
}

interface SecondProps {
  readonly ticket: string;
  readonly methods: readonly string[];
  readonly onDone: () => void;
  readonly onRestart: () => void;
}

export function SecondFactorForm({ ticket, methods, onDone, onRestart }: SecondProps): ReactNode {
  const { t } = useTranslation();
  const [code, setCode] = useState("");
  const second = useSecondFactor();
  const done = (answer: SignedIn): void => {
    if ("account" in answer) onDone();
  };
  const submit = (): void => {
    const digits = code.replaceAll(/\s/g, "");
    const proof = /^\d{6}$/.test(digits) ? { totp: digits } : { recoveryCode: code };
    second.mutate({ ticket, proof }, { onSuccess: done });
  };
  return (
    <NarrowPage title={t("secondFactor.title")}>
      <FormPaper submit={t("secondFactor.submit")} pending={second.isPending} error={second.error} onSubmit={submit}>
        <TextInput
          required
          autoFocus
          label={t("secondFactor.code")}
          description={t("secondFactor.hint")}
          autoComplete="one-time-code"
          maxLength={40}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      </FormPaper>
      <Stack gap="xs">
        {methods.includes("passkey") && (
          <Button variant="default" onClick={() => second.mutate({ ticket, proof: "passkey" }, { onSuccess: done })}>
            {t("signIn.passkey")}
          </Button>
        )}
        <Group gap="xs">
          <Text size="sm">{t("secondFactor.expired")}</Text>
          <Button size="xs" variant="default" onClick={onRestart}>
            {t("secondFactor.restart")}
          </Button>
        </Group>
      </Stack>
    </NarrowPage>
  );
}
