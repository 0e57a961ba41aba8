import { gql } from "../../api/gql";
import type {
  ChangeExperimentMutation,
  ExperimentListQuery,
  ExperimentListQueryVariables,
  ExperimentNewsSubscription,
  ExperimentNewsSubscriptionVariables,
  ExperimentOutputQuery,
  ExperimentOutputQueryVariables,
  ExperimentPageQuery,
  ExperimentPageQueryVariables,
} from "../../api/types";

export const ExperimentListDoc = gql<ExperimentListQuery, ExperimentListQueryVariables>(/* GraphQL */ `
  query ExperimentList($first: Int!) {
    experiments(first: $first) {
      id number kind status error author createdAt command
      project { slug }
      subjects { label }
    }
  }
`);

export const ExperimentPageDoc = gql<ExperimentPageQuery, ExperimentPageQueryVariables>(/* GraphQL */ `
  query ExperimentPage($ref: String!) {
    experiment(ref: $ref) {
      id number kind status error author createdAt startedAt finishedAt command parallel spec answer
      project { slug }
      subjects { label hash values }
      axes { key values }
      runs {
        seq key subject versionHash status exitCode error truncated hasArtifact startedAt finishedAt
        usage { wall user system memory }
      }
    }
  }
`);

export const ExperimentOutputDoc = gql<ExperimentOutputQuery, ExperimentOutputQueryVariables>(/* GraphQL */ `
  query ExperimentOutput($ref: String!, $seq: Int!) {
    experiment(ref: $ref) { id run(seq: $seq) { seq stdout stderr truncated } }
  }
`);

export const ExperimentNewsDoc = gql<ExperimentNewsSubscription, ExperimentNewsSubscriptionVariables>(/* GraphQL */ `
  subscription ExperimentNews($ref: String!) {
    experimentUpdates(ref: $ref) {
      experiment { id status }
      run { seq status }
      output { key subject stderr text }
    }
  }
`);

export const CancelExperimentDoc = gql<ChangeExperimentMutation, { ref: string }>(/* GraphQL */ `
  mutation ChangeExperiment($ref: String!) { cancelExperiment(ref: $ref) { id number status } }
`);

export const ResumeExperimentDoc = gql<ChangeExperimentMutation, { ref: string }>(/* GraphQL */ `
  mutation ResumeExperiment($ref: String!) { resumeExperiment(ref: $ref) { id number status } }
`);

export const RepeatExperimentDoc = gql<{ repeatExperiment: { number: number } }, { ref: string }>(/* GraphQL */ `
  mutation RepeatExperiment($ref: String!) { repeatExperiment(ref: $ref) { id number status } }
`);

export type Experiment = NonNullable<ExperimentPageQuery["experiment"]>;
export type Run = Experiment["runs"][number];
