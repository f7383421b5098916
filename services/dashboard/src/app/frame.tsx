import { Alert, Anchor, Box, Button, Container, Stack, Text } from "@mantine/core";
import { Link, Outlet, useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../shared/api-client.ts";
import { ErrorBlock } from "../shared/error-block.tsx";
import { PageTitle } from "../shared/page-title.tsx";

/** Around every page: the first thing that the keyboard reaches. */
export function Frame(): ReactNode {
  const { t } = useTranslation();
  return (
    <>
      <Anchor href="#content" className="skip-link">
        {t("app.skip")}
      </Anchor>
      <Outlet />
    </>
  );
}

/** A route that broke: by a refusal of a service, or by a defect of ours (a page that could not be loaded is one). */
export function BrokenPage({ error, reset }: ErrorComponentProps): ReactNode {
  const { t } = useTranslation();
  const router = useRouter();
  if (error instanceof ApiError) {
    const retry = (): void => {
      reset();
      void router.invalidate();
    };
    return (
      <Box p="lg">
        <ErrorBlock error={error} onRetry={retry} />
      </Box>
    );
  }
  return (
    <Alert color="red" m="lg" role="alert" title={t("error.title")}>
      <Text size="sm" mb="xs">
        {t("error.page")}
      </Text>
      <Button size="xs" variant="default" onClick={() => window.location.reload()}>
        {t("error.reload")}
      </Button>
    </Alert>
  );
}

export function NoSuchPage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Container size={420} py="xl" component="main" id="content" tabIndex={-1}>
      <Stack align="start">
        <PageTitle text={t("notFound.title")} />
        <Text>{t("notFound.text")}</Text>
        <Button component={Link} to="/">
          {t("notFound.home")}
        </Button>
      </Stack>
    </Container>
  );
}
