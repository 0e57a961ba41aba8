import { ApiError, request } from "../../api/client";
import { gql } from "../../api/gql";
import { subscribe } from "../../api/live";
import type {
  CancelFetchMutation,
  CancelFetchMutationVariables,
  DetectQuery,
  DetectQueryVariables,
  FetchSourceMutation,
  FetchSourceMutationVariables,
  FetchUpdatesSubscription,
  FetchUpdatesSubscriptionVariables,
  FlakeManifestQuery,
  FlakeManifestQueryVariables,
  TemplatesQuery,
  TemplatesQueryVariables,
} from "../../api/types";
import { type Detection, type Fetched, hasFlake, progressText, type Wanted } from "./source";

const FetchDoc = gql<FetchSourceMutation, FetchSourceMutationVariables>(/* GraphQL */ `
  mutation FetchSource($input: FetchSourceInput!) { fetchSource(input: $input) { id } }
`);
const CancelDoc = gql<CancelFetchMutation, CancelFetchMutationVariables>(/* GraphQL */ `
  mutation CancelFetch($id: ID!) { cancelFetch(id: $id) { id } }
`);
const UpdatesDoc = gql<FetchUpdatesSubscription, FetchUpdatesSubscriptionVariables>(/* GraphQL */ `
  subscription FetchUpdates($id: ID!) {
    fetchUpdates(id: $id) {
      progress { phase done total unit }
      fetch {
        source suggestedName status error errorCode
        code { workspace size files ref commit notes }
      }
    }
  }
`);
const DetectDoc = gql<DetectQuery, DetectQueryVariables>(/* GraphQL */ `
  query Detect($workspace: String!, $name: String!) {
    detect(workspace: $workspace, name: $name) {
      manifest own conflicts lacks notes
      choices { path value version reason }
      defined { tool file }
    }
  }
`);
const FlakeDoc = gql<FlakeManifestQuery, FlakeManifestQueryVariables>(/* GraphQL */ `
  query FlakeManifest($input: FlakeManifestInput!) { flakeManifest(input: $input) }
`);
export const TemplatesDoc = gql<TemplatesQuery, TemplatesQueryVariables>(/* GraphQL */ `
  query Templates { templates { name description } }
`);

/** Lets the server fetch code. When the signal comes, the fetch is cancelled. */
export async function fetchSource(
  wanted: Wanted,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<Fetched> {
  const { fetchSource: begun } = await request(FetchDoc, {
    input: { source: wanted.source, ref: wanted.ref ?? "", dir: wanted.dir ?? "", token: wanted.token ?? "" },
  });
  return new Promise((resolve, reject) => {
    const stop = subscribe(
      UpdatesDoc,
      () => ({ id: begun.id }),
      ({ fetchUpdates: u }) => {
        if (u.progress) onProgress(progressText(u.progress));
        const f = u.fetch;
        if (!f || f.status === "QUEUED" || f.status === "RUNNING") return;
        done();
        if (f.status === "SUCCEEDED" && f.code) resolve(f);
        else reject(new ApiError(f.error || "it was cancelled", f.errorCode || "canceled", "unavailable"));
      },
      {
        error: (e) => {
          done();
          reject(e);
        },
      },
    );
    const cancel = () => {
      done();
      request(CancelDoc, { id: begun.id }).catch(() => {}); // it may have ended by itself
      reject(new ApiError("the fetch was cancelled", "canceled", "canceled"));
    };
    const done = () => {
      stop();
      signal.removeEventListener("abort", cancel);
    };
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel);
  });
}

/** Asks what environment stored code needs. A flake is it where nothing else says so. */
export async function detect(workspace: string, name: string): Promise<Detection> {
  const found = (await request(DetectDoc, { workspace, name })).detect;
  if (found.own || found.choices.length || !hasFlake(found)) return found;
  return { ...found, manifest: await flakeManifest(workspace) };
}

/** Asks for a manifest that is made of the flake of stored code. */
export async function flakeManifest(workspace: string): Promise<string> {
  return (await request(FlakeDoc, { input: { workspace } })).flakeManifest;
}
