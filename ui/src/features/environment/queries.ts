import { gql } from "../../api/gql";
import type {
  BranchMutation,
  BranchMutationVariables,
  ChangeMutation,
  ChangeMutationVariables,
  EnvironmentQuery,
  EnvironmentQueryVariables,
  FilesQuery,
  FilesQueryVariables,
  HistoryQuery,
  HistoryQueryVariables,
  StartSessionMutation,
  StartSessionMutationVariables,
  VersionsOfferedQuery,
} from "../../api/types";
import { SessionFields } from "../session/SessionRow";

export const EnvironmentDoc = gql<EnvironmentQuery, EnvironmentQueryVariables>(
  /* GraphQL */ `
  query Environment($ref: String!) {
    environment(ref: $ref) {
      id ref name projectSlug hash createdAt updatedAt protected
      parent { id ref name hash }
      head {
        id hash seq message author createdAt canonical
        packages { name constraint attr version storePath }
        realisation { closureSize paths outPath closureDigest }
        builds { id status createdAt }
      }
      sessions(all: true) { ...SessionFields }
    }
  }
`,
  [SessionFields],
);

export type Env = NonNullable<EnvironmentQuery["environment"]>;

export const HistoryDoc = gql<HistoryQuery, HistoryQueryVariables>(/* GraphQL */ `
  query History($ref: String!) {
    environment(ref: $ref) {
      id
      versions(first: 100) {
        nodes {
          id hash parents seq message author createdAt manifestHash
          changes { op path from to }
          builds { id status }
        }
        pageInfo { hasNextPage }
      }
    }
  }
`);

export const FilesDoc = gql<FilesQuery, FilesQueryVariables>(/* GraphQL */ `
  query Files($ref: String!) {
    version(ref: $ref) { id manifest flake flakeLock }
  }
`);

export const OfferedDoc = gql<VersionsOfferedQuery>(/* GraphQL */ `
  query VersionsOffered { packages(first: 500) { attr family version description default } }
`);

export const BranchDoc = gql<BranchMutation, BranchMutationVariables>(/* GraphQL */ `
  mutation Branch($input: BranchInput!) { branch(input: $input) { environment { id ref } build { id } } }
`);

export const ChangeDoc = gql<ChangeMutation, ChangeMutationVariables>(/* GraphQL */ `
  mutation Change($input: ChangeInput!) { change(input: $input) { version { id hash } build { id } } }
`);

export const StartDoc = gql<StartSessionMutation, StartSessionMutationVariables>(/* GraphQL */ `
  mutation StartSession($input: StartSessionInput!) { startSession(input: $input) { id ref } }
`);
