import { useMediaQuery } from "@mantine/hooks";

/** A phone: tables become lists. The same width at which the navigation folds (Mantine's `sm`). */
export function useNarrow(): boolean {
  return useMediaQuery("(max-width: 47.99em)", false, { getInitialValueInEffect: false });
}
