// The colour scheme that the reader chose, applied before the first paint; "" follows the system.

{
  const KEY = "scheme";
  const apply = (scheme) => {
    if (scheme) document.documentElement.dataset.theme = scheme;
    else delete document.documentElement.dataset.theme;
  };
  const stored = () => {
    try {
      return localStorage.getItem(KEY) ?? "";
    } catch {
      return "";
    }
  };
  const store = (scheme) => {
    try {
      localStorage.setItem(KEY, scheme);
    } catch {
      // Without a store it holds for this page.
    }
  };

  apply(stored());
  window.addEventListener("storage", ({ key }) => key === KEY && apply(stored()));
  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.querySelector("[data-scheme]");
    choice.value = stored();
    choice.hidden = false;
    choice.addEventListener("change", () => {
      apply(choice.value);
      store(choice.value);
    });
  });
}
