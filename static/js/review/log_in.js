// What a key for a decision does for somebody who may not decide: it leads to why, and to the login.

/** Whether nobody can decide here as things stand; if so, the reader is brought to what helps. */
export function logInToDecide(root) {
  const said = root.querySelector("[data-log-in]");
  (said?.querySelector("a") ?? said)?.focus();
  return Boolean(said);
}
