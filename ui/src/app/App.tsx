import { type RouteSectionProps, useLocation, useNavigate } from "@solidjs/router";
import { createEffect, createSignal, ErrorBoundary, on, Show, Suspense } from "solid-js";
import { ApiError, request, signedOut } from "../api/client";
import { gql } from "../api/gql";
import { followEvents } from "../api/live";
import type { ViewerQuery } from "../api/types";
import { Questions } from "../components/Ask";
import { Problem } from "../components/States";
import { Toasts } from "../components/Toasts";
import { SignIn } from "../features/signin/SignIn";
import { inside } from "./base";
import { Connection } from "./Connection";
import { Help } from "./Help";
import { listen, useShortcuts } from "./keys";
import { Palette } from "./Palette";
import { Sidebar } from "./Sidebar";
import { nextTheme, setTheme } from "./theme";

const ViewerDoc = gql<ViewerQuery>(/* GraphQL */ `
  query Viewer {
    viewer { id name }
    server { version }
  }
`);

/** Everything around a page, once it is known who looks at it. */
export function App(props: RouteSectionProps) {
  const [viewer, setViewer] = createSignal<ViewerQuery>();
  const [failure, setFailure] = createSignal<ApiError>();
  const load = () =>
    request(ViewerDoc, {}).then(
      (v) => {
        setFailure(undefined);
        setViewer(v);
        followEvents();
      },
      (e) => e instanceof ApiError && e.kind !== "unauthorized" && setFailure(e),
    );
  const location = useLocation();
  const link = ["/sign-in", "/join"].includes(inside(location.pathname)) && location.hash !== "";
  if (!link) void load();
  return (
    <>
      <Show
        when={!signedOut() && viewer()}
        fallback={
          <Show
            when={signedOut() || link}
            fallback={
              <Show when={failure()}>
                {(e) => (
                  <div class="page">
                    <Problem error={e()} retry={load} />
                  </div>
                )}
              </Show>
            }
          >
            <SignIn onDone={load} />
          </Show>
        }
      >
        {(v) => <Shell viewer={v()}>{props.children}</Shell>}
      </Show>
      <Questions />
      <Toasts />
    </>
  );
}

function Shell(props: { viewer: ViewerQuery; children: RouteSectionProps["children"] }) {
  const navigate = useNavigate();
  const location = useLocation();
  const [drawer, setDrawer] = createSignal(false);
  const [overlay, setOverlay] = createSignal<"palette" | "help">();
  listen(() => setOverlay("palette"));
  useShortcuts(
    [
      { keys: "?", text: "This sheet", run: () => setOverlay("help") },
      { keys: "g h", text: "Home", run: () => navigate("/") },
      { keys: "g s", text: "Sessions", run: () => navigate("/sessions") },
      { keys: "g c", text: "Catalog", run: () => navigate("/catalog") },
      { keys: "g t", text: "Templates", run: () => navigate("/templates") },
      { keys: "g u", text: "Usage", run: () => navigate("/usage") },
      { keys: "g e", text: "Settings", run: () => navigate("/settings") },
      { keys: "c", text: "New project", run: () => navigate("/new") },
      { keys: "t", text: "Change the theme", run: () => setTheme(nextTheme()) },
    ].map((s) => ({ ...s, everywhere: true })),
  );
  let main!: HTMLElement;
  createEffect(
    on(
      () => location.pathname,
      () => {
        setDrawer(false);
        setOverlay(undefined);
      },
      { defer: true },
    ),
  );
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => main.focus()}>
        Skip to the content
      </button>
      <Sidebar viewer={props.viewer} drawer={drawer()} setDrawer={setDrawer} open={setOverlay} />
      <main id="main" tabindex="-1" ref={main}>
        <ErrorBoundary
          fallback={(err, reset) => (
            <div class="page">
              <Problem
                error={
                  new ApiError(`This page broke: ${err}`, "page", "internal", "It is a defect; the console says more.")
                }
                retry={reset}
              />
            </div>
          )}
        >
          <Suspense>{props.children}</Suspense>
        </ErrorBoundary>
      </main>
      <Connection />
      <Show when={overlay() === "palette"}>
        <Palette onClose={() => setOverlay(undefined)} onHelp={() => setOverlay("help")} />
      </Show>
      <Show when={overlay() === "help"}>
        <Help onClose={() => setOverlay(undefined)} />
      </Show>
    </div>
  );
}
