import { Button, Paper, Skeleton, Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { timeText } from "./format.ts";

/** A place holder that shows itself only when the answer takes longer than a blink (page.css). */
export function Loading({ height }: { readonly height: number }): ReactNode {
  return <Skeleton className="late" height={height} radius="md" aria-busy />;
}

/** What is shown is older than it seems: the last refresh failed. */
export function StaleNote({ since }: { readonly since: number }): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <Text size="sm" role="status">
      {t("app.stale", { time: timeText(since, i18n.language) })}
    </Text>
  );
}

interface EmptyProps {
  readonly text: string;
  /** The next step; absent where the step is on the same page. */
  readonly step?: { readonly to: "/" | "/keys"; readonly text: string };
}

/** Nothing is here yet, and what to do about it. */
export function Empty({ text, step }: EmptyProps): ReactNode {
  return (
    <Paper withBorder p="xl">
      <Stack align="center" gap="md">
        <Text ta="center">{text}</Text>
        {step && (
          <Button component={Link} to={step.to}>
            {step.text}
          </Button>
        )}
      </Stack>
    </Paper>
  );
}
