/* The theme, and definitions beside the terms that are pointed at or focused. */
{
  const button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  const show = (theme) => {
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = "system";
  try { theme = localStorage.getItem("xffl-bench-theme") ?? "system"; } catch { /* a page of a file may have none */ }
  show(themes.includes(theme) ? theme : "system");
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show(theme);
    try { localStorage.setItem("xffl-bench-theme", theme); } catch { /* as above */ }
  });

  const tip = document.getElementById("tip");
  let shown = null;
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  };
  const reveal = (term) => {
    const definition = document.getElementById(term.hash.slice(1))?.nextElementSibling;
    if (!definition) return;
    hide();
    shown = term;
    tip.innerHTML = definition.innerHTML;
    tip.hidden = false;
    term.setAttribute("aria-describedby", "tip");
    const place = term.getBoundingClientRect();
    const right = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(place.left, right)) + scrollX}px`;
    const above = place.top - tip.offsetHeight - 6;
    tip.style.top = `${(above > 0 ? above : place.bottom + 6) + scrollY}px`;
  };
  const of = (event) => event.target.closest?.(".term");
  document.addEventListener("mouseover", (event) => { if (of(event)) reveal(of(event)); else hide(); });
  document.addEventListener("focusin", (event) => { if (of(event)) reveal(of(event)); else hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}
