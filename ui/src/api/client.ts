import { createSignal } from "solid-js";
import { base } from "../app/base";
import type { Doc } from "./gql";

/** An error as the API tells it: what went wrong, and what to do about it. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly kind: string,
    readonly hint = "",
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Whatever was thrown, as an error of the API. */
export const asApiError = (err: unknown): ApiError =>
  err instanceof ApiError ? err : new ApiError(String(err), "unknown", "internal");

export interface GraphQLProblem {
  message: string;
  path?: (string | number)[];
  extensions?: { code?: string; kind?: string; hint?: string; details?: Record<string, unknown> };
}

/** Makes the error of the first problem that a GraphQL answer names. */
export function problem(errors: GraphQLProblem[]): ApiError {
  const first = errors[0];
  const x = first?.extensions ?? {};
  return new ApiError(first?.message ?? "unknown error", x.code ?? "unknown", x.kind ?? "internal", x.hint, x.details);
}

/** True once the server said that it does not know this browser. */
export const [signedOut, setSignedOut] = createSignal(false);

async function send(path: string, init: RequestInit): Promise<Response> {
  let res: Response;
  try {
    res = await fetch(base + path, { credentials: "same-origin", ...init });
  } catch (err) {
    if (err instanceof DOMException && err.name === "AbortError") throw err;
    throw new ApiError("the server does not answer", "offline", "unavailable", "this page goes on as soon as it does");
  }
  if (res.ok) return res;
  const body = await res.json().catch(() => null);
  const e = body?.error;
  if (res.status === 401 && path === "/graphql") setSignedOut(true);
  throw new ApiError(
    e?.message ?? `the server answered ${res.status}`,
    e?.code ?? "http",
    e?.kind ?? "internal",
    e?.hint,
  );
}

/** Sends a query or mutation. It fails with an [ApiError]. */
export async function request<R, V>(doc: Doc<R, V>, variables: V, signal?: AbortSignal): Promise<R> {
  const res = await send("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query: doc.text, operationName: doc.name, variables }),
    signal,
  });
  const answer = (await res.json()) as { data?: R; errors?: GraphQLProblem[] };
  if (answer.errors?.length) throw problem(answer.errors);
  return answer.data as R;
}

/** Signs this browser in by the code of a printed link. */
export async function signIn(code: string): Promise<void> {
  await send("/api/v1/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  setSignedOut(false);
}

/** Who signs in: by name and password, or by an invitation. */
export interface Person {
  /** Of the invitation; empty to sign in. */
  code: string;
  name: string;
  password: string;
  /** One-time password, where the account asks for one. */
  totp: string;
}

/** Signs this browser in to an account. It fails with code "code_required" where a one-time password is asked for. */
export async function enter(who: Person): Promise<void> {
  await send(who.code ? "/api/v1/join" : "/api/v1/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(who),
  });
  setSignedOut(false);
}

/** Makes the server forget this browser. */
export async function signOut(): Promise<void> {
  await send("/api/v1/sign-out", { method: "POST" });
  setSignedOut(true);
}

/** Uploads an archive of code and returns its digest. */
export async function uploadWorkspace(archive: Blob): Promise<{ digest: string; size: number; files: number }> {
  return (await send("/api/v1/workspaces", { method: "PUT", body: archive })).json();
}

/** Uploads an archive of code as a person has it, or a flake.nix, and returns its digest. */
export async function uploadArchive(
  archive: Blob,
): Promise<{ digest: string; size: number; files: number; notes: string[] }> {
  return (await send("/api/v1/archives", { method: "PUT", body: archive })).json();
}

/** Sends JSON to an address of the API and reads the answer. */
export async function post<R>(path: string, body: unknown): Promise<R> {
  const headers = { "Content-Type": "application/json" };
  return (await send(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Reads JSON from an address of the API. */
export async function get<R>(path: string): Promise<R> {
  return (await send(path, {})).json();
}

/** Sends bytes to an address of the API and reads the answer. */
export async function put<R>(path: string, body: Blob): Promise<R> {
  return (await send(path, { method: "PUT", body })).json();
}
