import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Server } from "./server";

/** Branches an environment that often, through the API, as `from-0`, `from-1`… */
export async function branchOften(server: Server, from: string, total: number): Promise<void> {
  const { token } = JSON.parse(readFileSync(join(server.state, "server.json"), "utf8")) as { token: string };
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
  const name = from.split("/")[1];
  let next = 0;
  const work = async () => {
    while (next < total) {
      const begin = next;
      next += 25; // branches in one request
      const fields = Array.from({ length: Math.min(25, total - begin) }, (_, i) => {
        const n = begin + i;
        // Some from each other, so that the tree has a depth.
        const parent = n >= 100 ? `${name}-${n % 50}` : name;
        return `b${n}: branch(input: {from: "${from.split("/")[0]}/${parent}", name: "${name}-${n}"}) { environment { id } }`;
      });
      const answer = await fetch(`${server.url}/graphql`, {
        method: "POST",
        headers,
        body: JSON.stringify({ query: `mutation { ${fields.join(" ")} }` }),
      });
      const { errors } = (await answer.json()) as { errors?: { message: string }[] };
      if (errors?.length) throw new Error(errors[0]!.message);
    }
  };
  await Promise.all([work(), work()]);
}
