// Programs, services and well-known ports that a browser cannot talk to. Whatever
// else listens may serve pages, so it is offered.
const programs =
  /^(postgres|postmaster|redis-server|valkey-server|mysqld|mariadbd|mongod|memcached|sshd|rabbitmq|beam\.smp|nats-server)/;
const ports = new Set([22, 3306, 5432, 6379, 11211, 27017]);

/** Whether a browser may get a page from a port, as far as its program and its services say. */
export function mayServePages(
  port: { port: number; process: string },
  services: readonly { name: string; ports: readonly number[] }[] = [],
): boolean {
  if (programs.test(port.process)) return false;
  const service = services.find((s) => s.ports.includes(port.port));
  if (service) return !/^(postgres|redis|valkey|mysql|mariadb|mongo|memcached)/.test(service.name);
  return port.process !== "" || !ports.has(port.port);
}
