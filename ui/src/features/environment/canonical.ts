/** What an environment contains, as its hash is over: see env/manifest. */
export interface Canonical {
  system: string;
  source: string;
  env: Record<string, string>;
  services: Record<
    string,
    { port?: number; command?: string; databases?: string[]; settings?: Record<string, unknown> }
  >;
  scripts: Record<string, string>;
  ports: Record<string, number>;
  resources: { cpus: number; memory_mib: number; disk_mib: number };
}

/** Reads the canonical form; what it does not say is empty. */
export function readCanonical(text: string): Canonical {
  const c = JSON.parse(text) as Partial<Canonical>;
  return {
    system: c.system ?? "",
    source: typeof c.source === "string" ? c.source : "",
    env: c.env ?? {},
    services: c.services ?? {},
    scripts: c.scripts ?? {},
    ports: c.ports ?? {},
    resources: c.resources ?? { cpus: 0, memory_mib: 0, disk_mib: 0 },
  };
}
