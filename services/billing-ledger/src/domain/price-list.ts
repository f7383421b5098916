import type { ModelPrice } from "@codex/contracts";

/** What is wrong with a list of prices; empty when it may become a version. */
export function priceListProblems(models: readonly ModelPrice[]): readonly string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  if (models.length === 0) problems.push("the list has no models: every request would be refused");
  for (const price of models) {
    if (seen.has(price.model)) problems.push(`${price.model}: named twice`);
    seen.add(price.model);
    for (const [name, rate] of [...Object.entries(price.rates), ["perRequest", price.perRequest] as const]) {
      if (rate < 0n) problems.push(`${price.model}: ${name} is negative, which would pay the user for asking`);
    }
    if (price.outputTokensMax > price.contextTokens) {
      problems.push(`${price.model}: outputTokensMax is above contextTokens`);
    }
  }
  return problems;
}

/** One text for equal lists whatever their order; its hash tells whether a new version would change anything. */
export function canonicalPrices(models: readonly ModelPrice[]): string {
  return JSON.stringify(
    [...models]
      .sort((a, b) => (a.model < b.model ? -1 : 1))
      .map((price) => [
        price.model,
        price.displayName,
        price.contextTokens,
        price.outputTokensMax,
        price.rates.input.toString(),
        price.rates.cachedInput.toString(),
        price.rates.cacheWrite.toString(),
        price.rates.output.toString(),
        price.rates.reasoning.toString(),
        price.perRequest.toString(),
      ]),
  );
}
