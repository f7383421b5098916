import { Box } from "@mantine/core";
import type { ReactNode } from "react";

/** A state as sign and word, so that colour is never the only difference; the word has the colour of all text. */
export function Status({ good, text }: { readonly good: boolean; readonly text: string }): ReactNode {
  return (
    <Box component="span" className="nowrap">
      <Box component="span" aria-hidden c={good ? "green" : "orange"} mr={6}>
        {good ? "●" : "▲"}
      </Box>
      {text}
    </Box>
  );
}
