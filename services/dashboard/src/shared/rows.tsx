import { Paper, Stack, Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useNarrow } from "./use-narrow.ts";

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ReactNode;
}

interface Props<Row> {
  /** What the rows are, for a screen reader. */
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  readonly testId: string;
}

/** A table; on a phone, where columns have no room, a list in which each value follows its title. */
export function Rows<Row>({ label, rows, columns, keyOf, testId }: Props<Row>): ReactNode {
  const narrow = useNarrow();
  if (narrow) {
    return (
      <Stack gap="sm" role="list" aria-label={label}>
        {rows.map((row) => (
          <Paper withBorder p="md" key={keyOf(row)} role="listitem" data-testid={testId}>
            {columns.map(({ title, cell }) => (
              <div key={title}>
                <Text size="xs" c="dimmed">
                  {title}
                </Text>
                <Text component="div" className="wrap" mb={4}>
                  {cell(row)}
                </Text>
              </div>
            ))}
          </Paper>
        ))}
      </Stack>
    );
  }
  return (
    <Table aria-label={label} verticalSpacing="sm">
      <Table.Thead>
        <Table.Tr>
          {columns.map(({ title }) => (
            <Table.Th key={title}>{title}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={keyOf(row)} data-testid={testId}>
            {columns.map(({ title, cell }) => (
              <Table.Td key={title} className="wrap cell" valign="top">
                {cell(row)}
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
