import { Route, Router } from "@solidjs/router";
import { lazy } from "solid-js";
import { render } from "solid-js/web";
import { App } from "./app/App";
import { base, inside } from "./app/base";
import { NotFound } from "./app/NotFound";
import Home from "./features/home/Home";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/commands.css";
import "./styles/overlays.css";
import "./styles/features.css";
import "./styles/graph.css";
import "./styles/pages.css";
import "./styles/terminal.css";

// Whoever asks the server itself, past its proxy, is led below the base.
if (base && inside(location.pathname) === location.pathname)
  history.replaceState(null, "", base + location.pathname + location.search + location.hash);

render(
  () => (
    <Router root={App} base={base}>
      <Route path="/" component={Home} />
      <Route path="/sign-in" component={Home} />
      <Route path="/new" component={lazy(() => import("./features/create/New"))} />
      <Route path="/catalog" component={lazy(() => import("./features/catalog/Catalog"))} />
      <Route path="/templates" component={lazy(() => import("./features/template/Templates"))} />
      <Route path="/usage" component={lazy(() => import("./features/usage/Usage"))} />
      <Route path="/settings" component={lazy(() => import("./features/settings/Settings"))} />
      <Route path="/experiments" component={lazy(() => import("./features/compare/Experiments"))} />
      <Route path="/x/:number" component={lazy(() => import("./features/compare/Experiment"))} />
      <Route path="/sessions" component={lazy(() => import("./features/session/Sessions"))} />
      <Route path="/p/:project/:view?" component={lazy(() => import("./features/project/Project"))} />
      <Route path="/e/:project/:env/:view?" component={lazy(() => import("./features/environment/Environment"))} />
      <Route path="/s/:project/:env/:number" component={lazy(() => import("./features/session/Session"))} />
      <Route
        path="/s/:project/:env/:number/terminal"
        component={lazy(() => import("./features/terminal/TerminalPage"))}
      />
      <Route path="/preview" component={lazy(() => import("./features/preview/Gate"))} />
      <Route path="/builds/:id" component={lazy(() => import("./features/build/Build"))} />
      <Route path="*" component={NotFound} />
    </Router>
  ),
  document.getElementById("app")!,
);
