/** A GraphQL document with the types of its result and its variables. */
export interface Doc<Result, Variables> {
  text: string;
  name: string;
  /** For the types alone; never set. */
  readonly types?: (v: Variables) => Result;
}

/**
 * Makes a document of its text and the fragments that it uses. The text must be
 * written as a template marked GraphQL: scripts/codegen.mjs makes its types.
 */
export function gql<Result, Variables = Record<string, never>>(
  text: string,
  fragments: string[] = [],
): Doc<Result, Variables> {
  return {
    text: [text, ...new Set(fragments)].join("\n"),
    name: /\b(?:query|mutation|subscription) (\w+)/.exec(text)?.[1] ?? "",
  };
}
