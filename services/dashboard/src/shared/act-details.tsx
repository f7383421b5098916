import type { OwnAuditLine } from "@codex/contracts";
import { Text } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  readonly line: Pick<OwnAuditLine, "target" | "details">;
}

/** The object and the values, as the log has them: names of settings are the same in every language. */
export function ActDetails({ line: { target, details } }: Props): ReactNode {
  const lines = [
    ...(target === null ? [] : [target]),
    ...Object.entries(details)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`),
  ];
  if (lines.length === 0) return "—";
  return lines.map((text) => (
    <Text key={text} size="xs" ff="monospace" className="wrap">
      {text}
    </Text>
  ));
}
