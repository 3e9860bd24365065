type Kept = { diskUsed: number | null; volumes: readonly { volume: { id: string; name: string } }[] };

/** What goes with these containers, in bytes as far as it was measured, and the names of the volumes that stay. */
export function losses(containers: readonly Kept[]) {
  const measured = containers.flatMap(({ diskUsed }) => (diskUsed === null ? [] : [diskUsed]));
  const volumes = new Map(containers.flatMap((one) => one.volumes.map(({ volume }) => [volume.id, volume.name] as const)));
  return {
    amount: measured.length > 0 ? measured.reduce((sum, one) => sum + one, 0) : null,
    stay: [...volumes.values()].sort(),
  };
}
