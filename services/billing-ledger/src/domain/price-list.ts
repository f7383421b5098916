import type { ModelPrice, PriceGroup, Rates } from "@codex/contracts";

/** What is wrong with a list of prices; empty when it may become a version. */
export function priceListProblems(
  models: readonly ModelPrice[],
  groups: readonly PriceGroup[] = [],
): readonly string[] {
  const problems: string[] = [];
  if (models.length === 0) problems.push("the list has no models: every request would be refused");
  for (const name of repeated(models.map((price) => price.model))) problems.push(`${name}: named twice`);
  for (const name of repeated(groups.map(({ group }) => group))) problems.push(`group ${name}: named twice`);
  for (const price of models) problems.push(...modelProblems(price).map((problem) => `${price.model}: ${problem}`));
  return problems;
}

function modelProblems(price: ModelPrice): string[] {
  const problems: string[] = [];
  for (const [name, rate] of namedAmounts(price)) {
    if (rate < 0n) problems.push(`${name} is negative, which would pay the user for asking`);
  }
  if (price.outputTokensMax > price.contextTokens) problems.push("outputTokensMax is above contextTokens");
  for (const name of repeated(price.perImage.map(({ variant }) => variant))) {
    problems.push(`perImage ${name} is named twice`);
  }
  price.tiers.forEach((tier, index) => {
    const below = price.tiers[index - 1];
    if (below && below.aboveInputTokens >= tier.aboveInputTokens) problems.push("tiers are not in ascending order");
  });
  for (const window of price.offPeak) {
    if (window.fromUtc === window.toUtc) problems.push(`offPeak ${window.fromUtc} begins when it ends`);
    if (new Set(window.days).size < window.days.length) problems.push("offPeak names a day twice");
  }
  return problems;
}

function namedAmounts(price: ModelPrice): (readonly [string, bigint])[] {
  return [
    ...Object.entries(price.rates),
    ["perRequest", price.perRequest],
    ["perAudioSecond", price.perAudioSecond],
    ...price.perImage.map(({ variant, microTokens }) => [`perImage ${variant}`, microTokens] as const),
    ...price.tiers.flatMap((tier) =>
      Object.entries(tier.rates).map(
        ([name, rate]) => [`${name} above ${String(tier.aboveInputTokens)}`, rate] as const,
      ),
    ),
  ];
}

function repeated(names: readonly string[]): readonly string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}

/**
 * One text for lists that charge alike and say the same, whatever the order of their models and groups; its hash tells whether
 * a new version would change anything. The order of off-peak windows counts: the first that holds decides.
 */
export function canonicalPrices(models: readonly ModelPrice[], groups: readonly PriceGroup[] = []): string {
  return JSON.stringify({
    models: sorted(models, (price) => price.model).map((price) => [
      price.model,
      price.displayName,
      price.contextTokens,
      price.outputTokensMax,
      canonicalRates(price.rates),
      price.perRequest.toString(),
      sorted(price.perImage, ({ variant }) => variant).map((image) => [image.variant, image.microTokens.toString()]),
      price.perAudioSecond.toString(),
      price.tiers.map((tier) => [tier.aboveInputTokens, canonicalRates(tier.rates)]),
      price.offPeak.map(({ days, fromUtc, toUtc, multiplierPpm }) => [[...days].sort(), fromUtc, toUtc, multiplierPpm]),
    ]),
    groups: sorted(groups, ({ group }) => group).map(({ group, multiplierPpm }) => [group, multiplierPpm]),
  });
}

function canonicalRates(rates: Rates): readonly string[] {
  return [rates.input, rates.cachedInput, rates.cacheWrite, rates.cacheWrite1h, rates.output, rates.reasoning].map(
    (rate) => rate.toString(),
  );
}

function sorted<T>(values: readonly T[], nameOf: (value: T) => string): readonly T[] {
  return [...values].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}
