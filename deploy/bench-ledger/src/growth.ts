/** How much larger the memory is at its peak in the second half than at its peak in the first; 1 = it does not grow. */
export function growth(memory: readonly number[]): number {
  const middle = Math.ceil(memory.length / 2);
  const peak = (values: readonly number[]): number => Math.max(0, ...values);
  return peak(memory.slice(middle)) / Math.max(1, peak(memory.slice(0, middle)));
}
