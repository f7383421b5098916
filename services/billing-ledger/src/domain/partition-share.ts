/**
 * How many partitions one of `replicas` equal replicas may own: the even share, rounded up, so that all are always wanted
 * by somebody. Replicas at least 1.
 */
export function partitionShare(partitions: number, replicas: number): number {
  return Math.ceil(partitions / Math.max(1, replicas));
}
