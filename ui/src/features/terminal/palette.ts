import type { ITheme } from "@xterm/xterm";

/** The sixteen colours of programs, made for each theme's ground. */
export function palette(theme: "light" | "dark"): ITheme {
  return theme === "dark" ? dark : light;
}

const dark: ITheme = {
  background: "#0f1014",
  foreground: "#e4e6ec",
  cursor: "#a5a3ff",
  cursorAccent: "#0f1014",
  selectionBackground: "#3d3b8e",
  selectionInactiveBackground: "#2a2b3a",
  black: "#2a2c36",
  red: "#ff7b85",
  green: "#6fdc8c",
  yellow: "#f2c46d",
  blue: "#82aaff",
  magenta: "#c99bff",
  cyan: "#6fd3e3",
  white: "#cdd0da",
  brightBlack: "#7a7f90",
  brightRed: "#ff9ea5",
  brightGreen: "#93ebab",
  brightYellow: "#ffdb94",
  brightBlue: "#a6c2ff",
  brightMagenta: "#dcbcff",
  brightCyan: "#98e5f0",
  brightWhite: "#ffffff",
};

const light: ITheme = {
  background: "#ffffff",
  foreground: "#20222b",
  cursor: "#4f46e5",
  cursorAccent: "#ffffff",
  selectionBackground: "#cfd0ff",
  selectionInactiveBackground: "#e6e7f0",
  black: "#20222b",
  red: "#b3262f",
  green: "#14713a",
  yellow: "#8a5a00",
  blue: "#2452b8",
  magenta: "#7a35b8",
  cyan: "#0b6b7a",
  white: "#646978",
  brightBlack: "#555a67",
  brightRed: "#cf3640",
  brightGreen: "#1c8548",
  brightYellow: "#9c6a08",
  brightBlue: "#3366d6",
  brightMagenta: "#9148d1",
  brightCyan: "#127f90",
  brightWhite: "#40434f",
};
