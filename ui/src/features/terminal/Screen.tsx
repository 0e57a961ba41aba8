import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { createEffect, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import "@xterm/xterm/css/xterm.css";
import { request } from "../../api/client";
import { Button } from "../../components/Button";
import { copy } from "../../components/Cli";
import { Icon } from "../../components/Icon";
import { toast, toastError } from "../../components/Toasts";
import { ResumeDoc } from "../session/queries";
import { connectTo } from "./connect";
import { Link, type LinkState, randomName, type Status } from "./link";
import { palette } from "./palette";
import { keepToPolicy } from "./styles";

keepToPolicy();

const viewer = randomName();
const awayFor = 60_000; // ms out of sight after which a connection is not trusted
const mac = navigator.platform.startsWith("Mac");

/** One terminal: its screen, and what stands over it when it is not connected. */
export default function Screen(props: {
  session: string;
  sessionRef: string;
  name: string;
  readOnly: boolean;
  visible: boolean;
  running: boolean;
  searching: boolean;
  onSearch: (open: boolean) => void;
  onStatus: (s: Status, key: number) => void;
  onTitle: (title: string) => void;
  onEnded: () => void;
}) {
  let box!: HTMLDivElement;
  let field: HTMLInputElement | undefined;
  const [state, setState] = createSignal<LinkState>({ at: "connecting" });
  const [waking, setWaking] = createSignal(false);
  const [small, setSmall] = createSignal<{ cols: number; rows: number }>();
  let link: Link | undefined;
  let term: Terminal | undefined;
  let search: SearchAddon | undefined;

  onMount(() => {
    const t = new Terminal({
      allowProposedApi: true,
      fontFamily: '"JetBrains Mono Variable", ui-monospace, "SF Mono", Menlo, monospace',
      fontSize: 13,
      lineHeight: 1.25,
      letterSpacing: 0,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      cursorStyle: "bar",
      cursorWidth: 2,
      scrollback: 10_000,
      minimumContrastRatio: 4.5,
      macOptionIsMeta: true,
      theme: palette(document.documentElement.dataset.theme === "dark" ? "dark" : "light"),
      linkHandler: { activate: openLink },
    });
    term = t;
    const fit = new FitAddon();
    search = new SearchAddon();
    t.loadAddon(fit);
    t.loadAddon(search);
    t.loadAddon(new WebLinksAddon(openLink));
    t.loadAddon(new Unicode11Addon());
    t.unicode.activeVersion = "11";
    t.attachCustomKeyEventHandler(keys);
    t.open(box);
    t.textarea?.setAttribute("aria-label", `Terminal ${props.name}`);
    if (fastDrawing()) {
      void import("@xterm/addon-webgl").then(({ WebglAddon }) => {
        try {
          const webgl = new WebglAddon();
          webgl.onContextLoss(() => webgl.dispose()); // the other renderer takes over
          if (term === t) t.loadAddon(webgl);
        } catch {
          // it draws with elements instead
        }
      });
    }

    // The terminal has the size of the smallest window at it, which may be another one's.
    let own = { cols: 80, rows: 24 };
    const measure = () => {
      if (!props.visible) return;
      const size = fit.proposeDimensions();
      if (!size || !(size.cols > 1) || !(size.rows > 1)) return;
      if (size.cols === own.cols && size.rows === own.rows) return;
      own = size;
      if (state().at !== "open") t.resize(own.cols, own.rows);
      link?.resize();
    };
    const apply = (s: Status) => {
      const smaller = s.cols < own.cols || s.rows < own.rows;
      setSmall(smaller ? { cols: s.cols, rows: s.rows } : undefined);
      if (s.cols > 0 && s.rows > 0) t.resize(s.cols, s.rows);
    };

    const connect = (readOnly: boolean) => {
      link?.close();
      link = new Link({
        connect: () => connectTo(props.session),
        name: props.name,
        viewer,
        readOnly,
        size: () => own,
        write: (bytes, done) => t.write(bytes, done),
        onState: (s) => {
          setState(s);
          t.options.disableStdin = readOnly || s.at === "ended";
        },
        onStatus: (s, key) => {
          apply(s);
          props.onStatus(s, key);
        },
      });
    };
    measure();
    t.resize(own.cols, own.rows);
    createEffect(
      on(
        () => props.readOnly,
        (readOnly) => {
          connect(readOnly);
          if (props.visible) t.focus();
        },
      ),
    );
    t.onData((data) => {
      if (state().at === "asleep") void wake();
      if (state().at !== "ended" && !link?.type(data)) toast("The terminal takes no more input for now", "red");
    });
    t.onBinary((data) => link?.type(Uint8Array.from(data, (c) => c.charCodeAt(0))));
    t.onTitleChange((title) => props.onTitle(title));

    const resized = new ResizeObserver(() => requestAnimationFrame(measure));
    resized.observe(box);
    void document.fonts.load('13px "JetBrains Mono Variable"').then(() => {
      t.options.fontFamily = `${t.options.fontFamily} `; // measure the letters again
      measure();
    });
    const themes = new MutationObserver(() => {
      t.options.theme = palette(document.documentElement.dataset.theme === "dark" ? "dark" : "light");
    });
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let hiddenAt = 0;
    const online = () => link?.refresh();
    const seen = () => {
      if (document.visibilityState === "hidden") hiddenAt = Date.now();
      else if (state().at === "offline" || Date.now() - hiddenAt > awayFor) link?.refresh();
    };
    addEventListener("online", online);
    document.addEventListener("visibilitychange", seen);
    createEffect(
      on(
        () => props.visible,
        (visible) => {
          if (!visible) return;
          measure();
          t.focus();
        },
      ),
    );
    createEffect(
      on(
        () => props.running,
        (running) => running && (state().at === "asleep" || state().at === "stopped") && link?.retry(),
        { defer: true },
      ),
    );
    onCleanup(() => {
      resized.disconnect();
      themes.disconnect();
      removeEventListener("online", online);
      document.removeEventListener("visibilitychange", seen);
      link?.close();
      term = undefined;
      t.dispose();
    });
  });

  const keys = (e: KeyboardEvent): boolean => {
    const command = mac ? e.metaKey && !e.ctrlKey : e.ctrlKey && e.shiftKey;
    if (e.type !== "keydown" || !command || e.altKey) return true;
    switch (e.key.toLowerCase()) {
      case "c":
        if (term?.hasSelection()) {
          void copy(term.getSelection());
          e.preventDefault();
          return false;
        }
        if (!mac) e.preventDefault();
        return mac;
      case "v":
        return false; // the browser pastes
      case "f":
        e.preventDefault();
        props.onSearch(true);
        return false;
      case "e":
        if (mac && !e.shiftKey) return true;
        e.preventDefault();
        term?.blur();
        box.focus();
        return false;
    }
    return true;
  };

  const wake = async () => {
    if (waking()) return;
    setWaking(true);
    try {
      await request(ResumeDoc, { ref: props.sessionRef });
      link?.retry();
    } catch (e) {
      toastError(e);
    } finally {
      setWaking(false);
    }
  };
  const find = (forward: boolean) => {
    const text = field?.value ?? "";
    const options = { decorations: { matchOverviewRuler: "#8a86ff", activeMatchColorOverviewRuler: "#5b54ee" } };
    if (forward) search?.findNext(text, options);
    else search?.findPrevious(text, options);
  };
  const endSearch = () => {
    search?.clearDecorations();
    props.onSearch(false);
    term?.focus();
  };
  createEffect(
    on(
      () => props.searching && props.visible,
      (open) => open && queueMicrotask(() => field?.select()),
    ),
  );
  const refused = () => {
    const s = state();
    return s.at === "refused" ? s : undefined;
  };
  const code = () => {
    const s = state();
    return s.at === "ended" ? s.code : undefined;
  };
  return (
    <div class="screen" hidden={!props.visible} data-state={state().at}>
      <div class="screen-box" tabindex="-1" ref={box} />
      <Show when={props.searching}>
        <search class="find">
          <input
            class="input slim"
            type="search"
            aria-label="Search in the terminal"
            placeholder="Search"
            ref={field}
            onInput={() => find(true)}
            onKeyDown={(e) => {
              if (e.key === "Enter") find(!e.shiftKey);
              else if (e.key === "Escape") endSearch();
              else return;
              e.preventDefault();
            }}
          />
          <Button small look="plain" icon="up" aria-label="Previous match" onClick={() => find(false)} />
          <Button small look="plain" icon="down" aria-label="Next match" onClick={() => find(true)} />
          <Button small look="plain" icon="cross" aria-label="Close the search" onClick={endSearch} />
        </search>
      </Show>
      <Show when={small() && state().at === "open"}>
        <p class="screen-size tiny">
          {small()!.cols} × {small()!.rows}, the smallest window at it
        </p>
      </Show>
      <Show when={state().at === "offline" || (state().at === "connecting" && !props.running)}>
        <p class="screen-note" role="status">
          <i class="dot amber beat" />
          {props.running ? "Connecting again. What you type is kept." : "Waiting for the session"}
        </p>
      </Show>
      <Show when={state().at === "asleep"}>
        <div class="screen-over">
          <Icon name="moon" size={20} />
          <p>This session sleeps. Everything is where it was.</p>
          <Button look="primary" icon="play" disabled={waking()} onClick={wake}>
            {waking() ? "Waking…" : "Wake it"}
          </Button>
          <p class="faint tiny">or press a key in the terminal</p>
        </div>
      </Show>
      <Show when={state().at === "stopped"}>
        <div class="screen-over">
          <Icon name="stop" size={20} />
          <p>The session does not run. A shell begins here as soon as it does.</p>
        </div>
      </Show>
      <Show when={refused()}>
        {(r) => (
          <div class="screen-over" role="alert">
            <Icon name="alert" size={20} />
            <p>{r().message}</p>
            <Show when={r().hint}>
              <p class="faint tiny">{r().hint}</p>
            </Show>
            <Button onClick={() => link?.retry()}>Try again</Button>
          </div>
        )}
      </Show>
      <Show when={code() !== undefined}>
        <p class="screen-note" role="status">
          <span>
            It ended
            <Show when={code() !== 0}> with exit code {code()}</Show>.
          </span>
          <Button small onClick={() => props.onEnded()}>
            Close
          </Button>
        </p>
      </Show>
    </div>
  );
}

/** A link of a program's output opens only on purpose, and learns nothing of this page. */
function openLink(e: MouseEvent, uri: string): void {
  if (!(mac ? e.metaKey : e.ctrlKey)) {
    toast(`${mac ? "⌘" : "Ctrl"}-click opens links`, "blue", uri.slice(0, 120));
    return;
  }
  try {
    const url = new URL(uri);
    if (url.protocol === "http:" || url.protocol === "https:") open(url.href, "_blank", "noopener,noreferrer");
  } catch {
    // no address after all
  }
}

/** Whether there is a graphics processor; one that is only played by software is slower than elements. */
function fastDrawing(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info && gl ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return gl !== null && !/swiftshader|llvmpipe|software|basic render/i.test(name);
}
