import { Text, TextInput } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useFirstOperator } from "../api/recovery.ts";
import { EmailField, FormPaper, NarrowPage, PasswordField } from "./form-frame.tsx";

/** The first operator, by the code that the installation printed; a second factor is set up next. */
export function FirstOperatorForm({ onDone }: { readonly onDone: () => void }): ReactNode {
  const { t } = useTranslation();
  const [code, setCode] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const make = useFirstOperator();
  return (
    <NarrowPage title={t("firstOperator.title")}>
      <Text>{t("firstOperator.text")}</Text>
      <FormPaper
        submit={t("signUp.submit")}
        pending={make.isPending}
        error={make.error}
        onSubmit={() => make.mutate({ code: code.trim(), email, password }, { onSuccess: onDone })}
      >
        <TextInput
          required
          label={t("firstOperator.code")}
          autoComplete="off"
          maxLength={60}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
        <EmailField value={email} onChange={setEmail} />
        <PasswordField value={password} onChange={setPassword} charactersMin={12} />
      </FormPaper>
    </NarrowPage>
  );
}
