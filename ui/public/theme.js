// Runs before the first paint, so that a page never flashes in the other theme.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("nixspace.theme");
  } catch {}
  const dark = choice ? choice === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
