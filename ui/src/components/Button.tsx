import { A } from "@solidjs/router";
import { type JSX, Show, splitProps } from "solid-js";
import { Icon, type IconName } from "./Icon";

interface Looks {
  look?: "primary" | "danger" | "plain";
  icon?: IconName;
  small?: boolean;
}

const classes = (p: Looks, bare: boolean) => ({
  btn: true,
  [p.look ?? "normal"]: true,
  small: p.small ?? false,
  icon: bare,
});

/** A button; without children only its icon is seen, and `aria-label` must say what it does. */
export function Button(props: Looks & JSX.ButtonHTMLAttributes<HTMLButtonElement>) {
  const [looks, rest] = splitProps(props, ["look", "icon", "small", "children"]);
  return (
    <button type="button" title={rest["aria-label"]} {...rest} classList={classes(looks, !looks.children)}>
      <Show when={looks.icon}>{(name) => <Icon name={name()} />}</Show>
      {looks.children}
    </button>
  );
}

/** A link that looks like a button. */
export function ButtonLink(props: Looks & { href: string; children: JSX.Element }) {
  return (
    <A href={props.href} classList={classes(props, false)}>
      <Show when={props.icon}>{(name) => <Icon name={name()} />}</Show>
      {props.children}
    </A>
  );
}
