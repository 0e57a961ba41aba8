import { A, useNavigate, useParams } from "@solidjs/router";
import { createSignal, type JSX, Match, Show, Switch } from "solid-js";
import { request } from "../../api/client";
import { live } from "../../api/live";
import type { EditInput } from "../../api/types";
import { useShortcuts } from "../../app/keys";
import { ask } from "../../components/Ask";
import { Button, ButtonLink } from "../../components/Button";
import { Commands } from "../../components/Commands";
import { Glyph } from "../../components/Hash";
import { Icon } from "../../components/Icon";
import { Menu, type MenuItem } from "../../components/Menu";
import { Page } from "../../components/Page";
import { Bones, Empty, Problem } from "../../components/States";
import { toast, toastError } from "../../components/Toasts";
import { Compare } from "../diff/Compare";
import { Merge } from "../merge/Merge";
import { DeleteDoc, ProtectDoc } from "../merge/queries";
import { ResumeDoc } from "../session/queries";
import { SaveTemplateDialog } from "../template/SaveDialog";
import { BranchDialog } from "./BranchDialog";
import { Files } from "./Files";
import { History } from "./History";
import { Overview } from "./Overview";
import { ChangeDoc, type Env, EnvironmentDoc, StartDoc } from "./queries";

export default function Environment() {
  const params = useParams<{ project: string; env: string; view?: string }>();
  const navigate = useNavigate();
  const ref = () => `${params.project}/${params.env}`;
  const data = live(EnvironmentDoc, () => ({ ref: ref() }));
  const [branching, setBranching] = createSignal<{ from: string; edits: EditInput[] }>();
  const env = () => data.data()?.environment ?? undefined;
  const gone = () => data.error()?.kind === "not_found" && !env();
  const path = (view = "") => `/e/${ref()}${view && `/${view}`}`;

  const [starting, setStarting] = createSignal(false);
  const start = async (then = "") => {
    setStarting(true);
    try {
      const { startSession } = await request(StartDoc, { input: { ref: ref() } });
      navigate(`/s/${startSession.ref}${then}`);
    } catch (e) {
      toastError(e);
    } finally {
      setStarting(false);
    }
  };
  /** Opens a terminal in the newest session that there is, or in a new one. */
  const terminal = async () => {
    const live = env()?.sessions.filter((s) => ["RUNNING", "CREATING", "HIBERNATED"].includes(s.status)) ?? [];
    const best = live.find((s) => s.status === "RUNNING") ?? live[0];
    if (!best) return start("?terminal=main");
    if (best.status === "HIBERNATED") request(ResumeDoc, { ref: best.ref }).catch(toastError);
    navigate(`/s/${best.ref}?terminal=main`);
  };
  const change = async (edits: EditInput[], done: () => void) => {
    try {
      await request(ChangeDoc, { input: { ref: ref(), edits, expectedHead: env()?.head.hash } });
      done();
      toast(`Changed ${ref()}`, "green", "Its earlier content stays in the history.");
      await data.refetch();
    } catch (e) {
      toastError(e);
    }
  };
  const branch = (edits: EditInput[] = [], from = ref()) => setBranching({ from, edits });
  const protect = async () => {
    const wanted = !env()?.protected;
    data.patch((d) => {
      if (d.environment) d.environment.protected = wanted;
    });
    try {
      await request(ProtectDoc, { ref: ref(), protected: wanted });
    } catch (e) {
      toastError(e);
    }
    await data.refetch();
  };
  const [saving, setSaving] = createSignal(false);
  const remove = async () => {
    const yes = await ask({
      title: `Delete ${ref()}?`,
      text: `Its versions stay in the history, and nixspace undelete ${ref()} brings it back.`,
      verb: "Delete it",
      cli: ["delete", ref()],
    });
    if (!yes) return;
    try {
      await request(DeleteDoc, { ref: ref() });
      toast(`Deleted ${ref()}`, "green", `nixspace undelete ${ref()} brings it back.`);
      navigate(`/p/${params.project}`);
    } catch (e) {
      toastError(e);
    }
  };
  const menu = (): MenuItem[] => [
    { icon: "merge", text: "Merge into it", run: () => navigate(path("merge")) },
    { icon: "undo", text: "Roll it back", run: () => navigate(path("history")) },
    { icon: "template", text: "Save as a template", run: () => setSaving(true) },
    { icon: "shield", text: env()?.protected ? "End its protection" : "Protect it", run: () => void protect() },
    { icon: "trash", text: "Delete it", run: () => void remove(), danger: true },
  ];
  const commands = (): [string, string[]][] => [
    ["Show it", ["show", ref()]],
    ["Branch it", ["branch", ref(), "NAME", "--set", "postgresql=14"]],
    ["Change it", ["set", ref(), "nodejs=22"]],
    ["Start a session", ["start", ref()]],
    ["Open a terminal", ["shell", ref()]],
    ["Run a command in it", ["run", ref(), "--", "env"]],
    ["Compare it", ["diff", env()?.parent?.ref ?? ref(), ref()]],
    ["Merge another one into it", ["merge", "ENVIRONMENT", "--into", ref()]],
    ["See its versions", ["log", ref()]],
    ["Roll it back", ["rollback", ref()]],
    ["Take a suggestion", ["suggest", ref(), "--apply", "1", "--branch", "NAME"]],
    ["Make a template of it", ["templates", "save", "NAME", ref()]],
    [
      env()?.protected ? "End its protection" : "Let only merges change it",
      [env()?.protected ? "unprotect" : "protect", ref()],
    ],
    ["Delete it", ["delete", ref()]],
  ];
  useShortcuts([
    { keys: "b", text: "Branch this environment", run: () => branch() },
    { keys: "s", text: "Start a session", run: () => void start() },
    { keys: "o", text: "Open a terminal", run: () => void terminal() },
    { keys: "d", text: "Compare this environment", run: () => navigate(path("compare")) },
    { keys: "h", text: "History of this environment", run: () => navigate(path("history")) },
  ]);
  return (
    <Page
      title={ref()}
      crumbs={[{ text: params.project, href: `/p/${params.project}` }]}
      heading={
        <>
          <Show when={env()}>{(e) => <Glyph hash={e().hash} size={22} />}</Show>
          {params.env}
          <Show when={env()?.protected}>
            <span class="badge blue" title="Only merges change it">
              <Icon name="shield" size={12} /> protected
            </span>
          </Show>
        </>
      }
      sub={
        <Show when={env()} fallback={<span>&nbsp;</span>}>
          {(e) => <span>{e().head.message}</span>}
        </Show>
      }
      actions={
        <Show when={!gone()}>
          <Button icon="branch" onClick={() => branch()}>
            Branch
          </Button>
          <Button icon="play" disabled={starting() || !env()} onClick={() => void start()}>
            {starting() ? "Starting…" : "Start"}
          </Button>
          <Button look="primary" icon="terminal" disabled={starting() || !env()} onClick={terminal}>
            Open terminal
          </Button>
          <Menu label="More actions" items={menu()} />
        </Show>
      }
    >
      <Show when={gone()}>
        <Empty icon="branch" title={data.error()?.message ?? ""}>
          <p class="muted">{data.error()?.hint}</p>
          <ButtonLink href={`/p/${params.project}`}>All environments of {params.project}</ButtonLink>
        </Empty>
      </Show>
      <Show when={!gone() && data.error()}>{(e) => <Problem error={e()} retry={data.refetch} />}</Show>
      <Show when={!gone()}>
        <nav class="tabs" aria-label="Views">
          <A href={path()} end>
            Overview
          </A>
          <A href={path("history")}>
            History <span class="faint tiny num">{env()?.head.seq}</span>
          </A>
          <A href={path("compare")}>Compare</A>
          <A href={path("merge")}>Merge</A>
          <A href={path("files")}>Files</A>
        </nav>
      </Show>
      <Ready env={env()} failed={data.error() !== undefined}>
        {(e) => (
          <Switch>
            <Match when={params.view === "history"}>
              <History env={e()} onBranchFrom={(hash) => branch([], hash)} />
            </Match>
            <Match when={params.view === "compare"}>
              <Compare env={e()} />
            </Match>
            <Match when={params.view === "merge"}>
              <Merge env={e()} />
            </Match>
            <Match when={params.view === "files"}>
              <Files env={e()} />
            </Match>
            <Match when={!params.view}>
              <Overview env={e()} onBranch={branch} onChange={change} />
            </Match>
          </Switch>
        )}
      </Ready>
      <Show when={env()}>
        <Commands of={commands()} />
      </Show>
      <Show when={saving()}>
        <SaveTemplateDialog environment={ref()} name={params.env} onClose={() => setSaving(false)} />
      </Show>
      <Show when={branching()} keyed>
        {(b) => (
          <BranchDialog
            project={params.project}
            from={params.env}
            fromRef={b.from}
            edits={b.edits}
            onClose={() => setBranching(undefined)}
          />
        )}
      </Show>
    </Page>
  );
}

function Ready(props: { env: Env | undefined; failed: boolean; children: (env: () => Env) => JSX.Element }) {
  return (
    <Show
      when={props.env}
      fallback={
        <Show when={!props.failed}>
          <div class="card">
            <Bones lines={6} />
          </div>
        </Show>
      }
    >
      {(e) => props.children(e)}
    </Show>
  );
}
