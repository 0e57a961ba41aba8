import { gql } from "../../api/gql";
import type {
  CloseTerminalMutation,
  CloseTerminalMutationVariables,
  ForkSessionMutation,
  ForkSessionMutationVariables,
  HibernateSessionMutation,
  HibernateSessionMutationVariables,
  RemoveSessionMutation,
  RemoveSessionMutationVariables,
  ResumeSessionMutation,
  ResumeSessionMutationVariables,
  SessionUpdatesSubscription,
  SessionUpdatesSubscriptionVariables,
  StopSessionMutation,
  StopSessionMutationVariables,
  TakeSnapshotMutation,
  TakeSnapshotMutationVariables,
} from "../../api/types";

export const UpdatesDoc = gql<SessionUpdatesSubscription, SessionUpdatesSubscriptionVariables>(/* GraphQL */ `
  subscription SessionUpdates($ref: String!) {
    sessionUpdates(ref: $ref) {
      session {
        id ref number status reason reasonCode generation driver isolation ephemeral throwaway resuming
        startedAt lastActivity endedAt environmentRef
        forkOf { id ref }
        snapshot { id ref }
        version { id hash message canonical packages { name version } }
      }
      machine {
        status phase start fallback startedAt
        services { name state restarts message exitCode ports }
        egress { policy sent received hosts { host connections refused failed lastError } }
        layers { name digest size }
        view {
          terminals { name id cols rows process viewers { key who readOnly } }
          ports { port process }
        }
      }
      progress { phase done total unit }
    }
  }
`);

export type Update = SessionUpdatesSubscription["sessionUpdates"];

export const CloseTerminalDoc = gql<CloseTerminalMutation, CloseTerminalMutationVariables>(/* GraphQL */ `
  mutation CloseTerminal($session: String!, $name: String!) { closeTerminal(session: $session, name: $name) }
`);
export const StopDoc = gql<StopSessionMutation, StopSessionMutationVariables>(/* GraphQL */ `
  mutation StopSession($ref: String!) { stopSession(ref: $ref) { id } }
`);
export const RemoveDoc = gql<RemoveSessionMutation, RemoveSessionMutationVariables>(/* GraphQL */ `
  mutation RemoveSession($ref: String!) { removeSession(ref: $ref) { id } }
`);
export const HibernateDoc = gql<HibernateSessionMutation, HibernateSessionMutationVariables>(/* GraphQL */ `
  mutation HibernateSession($ref: String!) { hibernateSession(ref: $ref) { id } }
`);
export const ResumeDoc = gql<ResumeSessionMutation, ResumeSessionMutationVariables>(/* GraphQL */ `
  mutation ResumeSession($ref: String!) { resumeSession(ref: $ref) { id } }
`);
export const SnapshotDoc = gql<TakeSnapshotMutation, TakeSnapshotMutationVariables>(/* GraphQL */ `
  mutation TakeSnapshot($session: String!, $name: String!) {
    takeSnapshot(input: { session: $session, name: $name }) { id ref pauseMs size }
  }
`);
export const ForkDoc = gql<ForkSessionMutation, ForkSessionMutationVariables>(/* GraphQL */ `
  mutation ForkSession($input: ForkInput!) { fork(input: $input) { sessions { id ref } } }
`);
