import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import { request } from "../../api/client";
import { live } from "../../api/live";
import type { TemplateListQuery } from "../../api/types";
import { ask } from "../../components/Ask";
import { ButtonLink } from "../../components/Button";
import { Commands } from "../../components/Commands";
import { Icon } from "../../components/Icon";
import { Menu } from "../../components/Menu";
import { Card, Page } from "../../components/Page";
import { Loaded } from "../../components/States";
import { toast, toastError } from "../../components/Toasts";
import { DeleteTemplateDoc, TemplateListDoc } from "./queries";

type Template = TemplateListQuery["templates"][number];

/** The projects to begin with: those that NixSpace brings, and those that people saved. */
export default function Templates() {
  const templates = live(TemplateListDoc, () => ({}));
  const remove = async (t: Template) => {
    const yes = await ask({
      title: `Delete template ${t.name}?`,
      text: "Projects that were made of it stay as they are.",
      verb: "Delete",
      cli: ["templates", "rm", t.name],
    });
    if (!yes) return;
    templates.patch((d) => {
      d.templates = d.templates.filter((x) => x.name !== t.name);
    });
    try {
      await request(DeleteTemplateDoc, { name: t.name });
      toast(`Deleted template ${t.name}`);
    } catch (e) {
      toastError(e);
      await templates.refetch();
    }
  };
  const List = (props: { of: Template[] }) => (
    <div class="grid-cards">
      <For each={props.of}>
        {(t) => (
          <section class="card body stack tight">
            <div class="row wide">
              <h3 class="row cut">
                <Icon name="template" />
                <span class="cut">{t.name}</span>
              </h3>
              <Show when={t.saved}>
                <Menu
                  small
                  label={`More about ${t.name}`}
                  items={[
                    {
                      icon: "copy",
                      text: "Copy the command that uses it",
                      copy: ["create", t.name, "--template", t.name],
                    },
                    { icon: "trash", text: "Delete it", run: () => void remove(t), danger: true },
                  ]}
                />
              </Show>
            </div>
            <p class="muted small grow">{t.description || "Nobody has said what it is."}</p>
            <Show when={t.from}>
              <p class="faint tiny">saved from {t.from}</p>
            </Show>
            <div>
              <ButtonLink small href={`/new?template=${encodeURIComponent(t.name)}`} icon="plus">
                Begin with it
              </ButtonLink>
            </div>
          </section>
        )}
      </For>
    </div>
  );
  return (
    <Page title="Templates" sub={<span>A manifest, and mostly a small program with its tests, to begin with.</span>}>
      <Loaded of={templates} lines={5}>
        {(d) => (
          <>
            <h2>Saved here</h2>
            <Show
              when={d().templates.some((t) => t.saved)}
              fallback={
                <Card>
                  <p class="body muted small">
                    None yet. An environment that works can be one: open it and choose “Save as a template” under “More
                    actions”.{" "}
                    <A class="link" href="/">
                      To the projects
                    </A>
                  </p>
                </Card>
              }
            >
              <List of={d().templates.filter((t) => t.saved)} />
            </Show>
            <h2>Brought by NixSpace</h2>
            <List of={d().templates.filter((t) => !t.saved)} />
          </>
        )}
      </Loaded>
      <Commands
        of={[
          ["List them", ["templates", "list"]],
          ["Begin with one", ["create", "NAME", "--template", "node-postgres"]],
          ["Save one", ["templates", "save", "NAME", "ENVIRONMENT"]],
          ["Delete a saved one", ["templates", "rm", "NAME"]],
        ]}
      />
    </Page>
  );
}
