import { gql } from "../../api/gql";
import type {
  DeleteEnvironmentMutation,
  DeleteEnvironmentMutationVariables,
  MergeMutation,
  MergeMutationVariables,
  MergePreviewQuery,
  MergePreviewQueryVariables,
  ProtectMutation,
  ProtectMutationVariables,
  RollbackMutation,
  RollbackMutationVariables,
  RollbackPreviewQuery,
  RollbackPreviewQueryVariables,
} from "../../api/types";

export const PreviewDoc = gql<MergePreviewQuery, MergePreviewQueryVariables>(/* GraphQL */ `
  query MergePreview($input: MergeInput!) {
    mergePreview(input: $input) {
      outcome fastForward bases manifest
      conflicts { kind path base ours theirs reason merged }
      changes { op path from to }
    }
  }
`);

export const MergeDoc = gql<MergeMutation, MergeMutationVariables>(/* GraphQL */ `
  mutation Merge($input: MergeInput!) {
    merge(input: $input) {
      outcome
      conflicts { kind path }
      version { id hash }
      build { id }
    }
  }
`);

export const RollbackPreviewDoc = gql<RollbackPreviewQuery, RollbackPreviewQueryVariables>(/* GraphQL */ `
  query RollbackPreview($from: String!, $to: String!) {
    diff(from: $from, to: $to, depth: MANIFEST) { changes { op path from to } }
  }
`);

export const RollbackDoc = gql<RollbackMutation, RollbackMutationVariables>(/* GraphQL */ `
  mutation Rollback($input: RollbackInput!) { rollback(input: $input) { version { id hash } build { id } } }
`);

export const ProtectDoc = gql<ProtectMutation, ProtectMutationVariables>(/* GraphQL */ `
  mutation Protect($ref: String!, $protected: Boolean!) {
    protectEnvironment(ref: $ref, protected: $protected) { id protected }
  }
`);

export const DeleteDoc = gql<DeleteEnvironmentMutation, DeleteEnvironmentMutationVariables>(/* GraphQL */ `
  mutation DeleteEnvironment($ref: String!) { deleteEnvironment(ref: $ref) { id } }
`);
